// The database may be replaced while the gateway runs: `devenv db branch switch` stops it and starts it on other data. Whatever was learnt from one server (sessions, schema, numbers of
// types) ends with it and is made anew for the next; requests wait a moment in between.
import { setTimeout as pause } from 'node:timers/promises';
import { unavailable } from './responses.mjs';

const PATIENCE_MS = 2000;
const RETRY_MS = 20;
const FAILED_RETRY_MS = 300;
/** What was written may have an answer on its way; the driver forgets some that have none. */
const LAST_WORD_MS = 300;

const AWAY = 'the database does not answer: it is being started, or replaced';
const LOST = 'the database went away during this request, which may have been carried out or not';

const READS = ['GET', 'HEAD', 'OPTIONS'];

export class Follower {
  /** What stands on the server of now, or null while there is none. */
  current = null;
  #underWay = new Set();
  #arrive;
  #arrival;

  /**
   * `begin()` makes what stands on one server: { ready(), ended, over, check(), end() }. `ready()` waits for a server and learns from it; the promise `ended` is fulfilled when that
   * server is lost, and `over` is true from then on; `check()` finds out whether it is; `end()` closes what is open.
   */
  constructor({ begin, patience = PATIENCE_MS }) {
    Object.assign(this, { begin, patience });
    this.#expect();
    this.#follow();
  }

  #expect() {
    this.current = null;
    this.#arrival = new Promise((resolve) => { this.#arrive = resolve; });
  }

  async #follow() {
    for (let failures = 0; ;) {
      const backend = this.begin();
      try {
        await backend.ready();
        failures = 0;
        this.current = backend;
        this.#arrive(backend);
        await backend.ended;
        for (const giveUp of this.#underWay) giveUp();
        console.log('the database went away');
      } catch (error) {
        console.error(`database: ${error.message}`);
        failures++;
      }
      this.#expect();
      backend.end();
      await pause(failures > 1 ? FAILED_RETRY_MS : RETRY_MS);
    }
  }

  /** What stands on the server of now, waiting at most so long, or null. */
  async within(milliseconds) {
    if (this.current && !this.current.over) return this.current;
    const giveUp = new AbortController();
    const late = pause(Math.max(0, milliseconds), null, { signal: giveUp.signal }).catch(() => null);
    let backend;
    do backend = await Promise.race([this.#arrival, late]);
    while (backend?.over);
    giveUp.abort();
    return backend;
  }

  /** An answer under way, or nothing if the server is lost first. */
  #unlessLost(answer, lastWord) {
    return new Promise((resolve, reject) => {
      const giveUp = () => setTimeout(resolve, lastWord);
      this.#underWay.add(giveUp);
      Promise.resolve(answer).then(resolve, reject).finally(() => this.#underWay.delete(giveUp));
    });
  }

  /**
   * The answer of `handle(backend)`. A request that only reads is put to the next server if the first vanished meanwhile; any other gets to know that it is not known what became of it.
   */
  async answer(request, handle) {
    const until = performance.now() + this.patience;
    for (;;) {
      const backend = await this.within(until - performance.now());
      if (!backend) return unavailable(AWAY);
      const reads = READS.includes(request.method);
      let response;
      try {
        response = await this.#unlessLost(handle(backend), reads ? 0 : LAST_WORD_MS);
      } catch (error) {
        await backend.check();
        if (!backend.over) throw error;
      }
      if (response?.status >= 500) await backend.check();
      if (!backend.over || (response?.ok && !reads)) return response;
      response?.body?.cancel().catch(() => {});
      if (!reads) return unavailable(LOST);
    }
  }
}
