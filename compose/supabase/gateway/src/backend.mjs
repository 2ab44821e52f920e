// REST, Auth and Storage on one database server, from its first answer to its last.
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { App } from '@supabase/lite';
import { createPostgresConnection } from '@supabase/lite/postgres';
import postgres from 'postgres';
import { lasting, persist } from '../../shared/connections.mjs';
import { AuthAdmin } from './auth-admin.mjs';
import { Auth } from './auth.mjs';
import { seedBuckets } from './buckets.mjs';
import { acceptedConfig, liteConfig, mailTemplates } from './config.mjs';
import { Mailer } from './mail.mjs';
import { ObjectStore } from './object-store.mjs';
import { SchemaCache } from './schema-cache.mjs';
import { Sessions } from './sessions.mjs';
import { Storage } from './storage.mjs';

const ANSWER_MS = 2000;
/** A server that is silent for so many checks is taken for lost: its network may have gone without a word. */
const SILENT_CHECKS = 5;
/** "admin shutdown", "crash shutdown", "cannot connect now", "database dropped" */
const GOING_AWAY = /^57P/;

const makeApp = ({ accepted, connection, keys }) => new App({ ...accepted, connection, options: { server: { admin: true, apiKeys: { resolver: keys.resolver } } } });

/** The part of config.toml that @supabase/lite takes; what it refuses is named once, not for every server. */
export function accept({ config, settings, keys, warn }) {
  const connection = createPostgresConnection({ url: settings.databaseUrl });
  return acceptedConfig(liteConfig(config, settings), (accepted) => (makeApp({ accepted, connection, keys }), accepted), warn);
}

export class Backend {
  over = false;
  seeded = false;
  #connected = false;
  #silent = 0;

  constructor({ settings, config, accepted, keys }) {
    this.ended = new Promise((resolve) => {
      this.lose = () => {
        this.over = true;
        resolve();
      };
    });
    const options = {
      ...lasting,
      // A session that ends means that the server does: none is closed for being idle or old.
      onclose: () => this.#connected && this.lose(),
      // A pool that lost its server would go on with the next one.
      socket: (address) => (this.over ? refused() : lasting.socket(address)),
    };
    const sql = postgres(settings.databaseUrl, { ...options, max: 4 });
    const connection = createPostgresConnection({ url: settings.databaseUrl, postgresOptions: options });
    const mailer = new Mailer({ settings, config, sql, templates: mailTemplates(config, settings.projectDir) });
    const store = new ObjectStore({ url: settings.storageUrl, sql });
    const app = makeApp({ accepted, connection, keys });
    app._mailer = mailer;
    app._storageAdapter = store;
    // peerAddress null: a request to the API is never taken for one of the local studio, wherever it comes from.
    const lite = (request) => app.fetch(request, { peerAddress: null });
    const sessions = new Sessions({ sql, keys, settings, config });
    Object.assign(this, { settings, config, sql, connection, store, app, lite });
    this.schema = new SchemaCache({ connection, sql });
    this.auth = new Auth({ lite, sessions, sql, mailer, config });
    this.authAdmin = new AuthAdmin({ sql, keys, settings, config, mailer });
    this.storage = new Storage({ lite });
  }

  /** Everything that requests go by has been read from one and the same server. */
  async ready() {
    this.server = await persist(() => identity(this.sql));
    this.#connected = true;
    await this.app.init();
    // Otherwise the first requests do it, all at once; and its grants would be taken for changes of the schema.
    await this.connection.ensureRlsContext();
    await this.schema.begin();
    const servers = await Promise.all([identity(this.sql), identity(this.connection.driver)]);
    if (this.over || servers.some((server) => server !== this.server)) throw new Error('it was replaced while its schema was read');
    this.#seed();
  }

  /** Another branch's data may lack what config.toml names. */
  async #seed() {
    const { sql, config, settings, storage, store } = this;
    await seedBuckets({ sql, config, settings, storage, store });
    this.seeded = true;
  }

  /** What is wrong with the server, or null. Afterwards `over` says whether it is still the one that we know. */
  async check() {
    const late = new AbortController();
    try {
      const silence = pause(ANSWER_MS, null, { signal: late.signal }).then(() => Promise.reject(new Error(`no answer within ${ANSWER_MS / 1000} s`)));
      const server = await Promise.race([identity(this.sql), silence]);
      this.#silent = 0;
      if (server !== this.server) this.lose();
    } catch (error) {
      // Any other error of the server itself (too many connections) is an answer.
      if (error.severity ? GOING_AWAY.test(error.code) : error.code || ++this.#silent >= SILENT_CHECKS) this.lose();
      return error;
    } finally {
      late.abort();
    }
    return null;
  }

  end() {
    this.over = true;
    this.schema.end();
    // Whoever still waits for an answer gets an error.
    for (const pool of [this.sql, this.connection.driver]) pool.end({ timeout: 0 }).catch(() => {});
  }

  async fetch(request, { pathname }) {
    if (pathname.startsWith('/storage/v1')) return this.storage.fetch(request);
    if (pathname.startsWith('/auth/v1')) return (await this.authAdmin.fetch(request)) ?? this.auth.fetch(request);
    return this.lite(request);
  }
}

/** A socket that fails once somebody listens to it. */
function refused() {
  const socket = new net.Socket();
  setImmediate(() => socket.destroy(new Error('the database went away')));
  return socket;
}

/** Which server it is, and since when it runs. */
async function identity(sql) {
  const [{ server }] = await sql`select system_identifier || ' ' || extract(epoch from pg_postmaster_start_time()) as server from pg_control_system()`;
  return server;
}
