// @supabase/lite reads the schema once. A migration or psql changes it: the database says so on the channel `pgrst` (an event trigger of the image notifies after every DDL statement),
// and here the cache is read again. The listener reconnects by itself, and reads again then: it may have missed something.
const SETTLE_MS = 30;
const RETRY_MS = 300;

export class SchemaCache {
  #timer;
  #reading = false;

  constructor({ connection, sql }) {
    Object.assign(this, { connection, sql });
  }

  /** Listens first, so that no change falls between reading and listening. */
  async begin() {
    await this.sql.listen('pgrst', (payload) => this.schedule(payload || 'notification'), () => this.began && this.schedule('connected'));
    this.began = true;
    await this.#read('connected');
  }

  end() {
    clearTimeout(this.#timer);
    this.ended = true;
  }

  /** A migration sends a notification per statement: wait until they settle. One reading at a time, so that none overtakes a later one. */
  schedule(why, delay = SETTLE_MS) {
    clearTimeout(this.#timer);
    if (!this.ended) this.#timer = setTimeout(() => (this.#reading ? this.schedule(why) : this.#reload(why)), delay);
  }

  async #reload(why) {
    this.#reading = true;
    try {
      await this.#read(why);
    } catch (error) {
      if (this.ended) return;
      console.error(`reading the schema: ${error.message}`);
      this.schedule(why, RETRY_MS);
    } finally {
      this.#reading = false;
    }
  }

  async #read(why) {
    const start = performance.now();
    // Until it is read, requests go by the one before: without any, each would read it for itself.
    const before = this.connection.introspection;
    await this.connection.introspect({ useCache: false });
    // It keeps an error for itself, and answers with an empty schema.
    if (this.connection.introspection === before) throw new Error('the schema could not be read');
    await this.#teachTypes();
    console.log(`schema read in ${Math.round(performance.now() - start)} ms (${why})`);
  }

  /** supabase-js sends a vector as an array of numbers; the driver would write it as an SQL array. The type's number is known only once the extension is there. */
  async #teachTypes() {
    const vectors = await this.sql`select oid::int from pg_type where typname in ('vector', 'halfvec')`;
    for (const { oid } of vectors) this.connection.driver.options.serializers[oid] = (value) => (Array.isArray(value) ? JSON.stringify(value) : String(value));
  }
}
