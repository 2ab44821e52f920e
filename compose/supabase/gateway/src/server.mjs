// The one address of the stack, like Kong or Envoy in the official one. /rest/v1, /auth/v1 and /storage/v1 are @supabase/lite's App with what supabase-js needs beside it;
// /functions/v1, /realtime/v1 and /pg go on to their services.
import { once } from 'node:events';
import http from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { App } from '@supabase/lite';
import { createPostgresConnection } from '@supabase/lite/postgres';
import postgres from 'postgres';
import { AuthAdmin } from './auth-admin.mjs';
import { Auth } from './auth.mjs';
import { seedBuckets } from './buckets.mjs';
import { acceptedConfig, liteConfig, load, mailTemplates } from './config.mjs';
import { Keys } from './keys.mjs';
import { Mailer } from './mail.mjs';
import { ObjectStore } from './object-store.mjs';
import { Proxy } from './proxy.mjs';
import { json, preflight } from './responses.mjs';
import { SchemaCache } from './schema-cache.mjs';
import { Sessions } from './sessions.mjs';
import { Storage } from './storage.mjs';
import { studio } from './studio.mjs';

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
const { settings, config, warnings } = load();
for (const warning of warnings) console.warn(`warning: ${warning}`);

const sql = postgres(settings.databaseUrl, { max: 4, onnotice() {}, idle_timeout: 60 });
await untilAnswered(sql);
const keys = await Keys.create(settings);
const mailer = new Mailer({ settings, config, sql, templates: mailTemplates(config, settings.projectDir) });

const app = acceptedConfig(
  liteConfig(config, settings),
  (accepted) => new App({
    ...accepted,
    connection: createPostgresConnection({ url: settings.databaseUrl }),
    options: { server: { admin: true, apiKeys: { resolver: keys.resolver } } },
  }),
  (warning) => console.warn(`warning: ${warning}`),
);
app._mailer = mailer;
const store = new ObjectStore({ root: '/var/lib/storage', sql });
app._storageAdapter = store;
await app.init();
const schema = new SchemaCache({ connection: app.connection, sql });

// peerAddress null: a request to the API is never taken for one of the local studio, wherever it comes from.
const lite = (request) => app.fetch(request, { peerAddress: null });
const sessions = new Sessions({ sql, keys, settings, config });
const auth = new Auth({ lite, sessions, sql, mailer, config });
const authAdmin = new AuthAdmin({ sql, keys, settings, config, mailer });
const storage = new Storage({ lite });
const proxy = new Proxy({ upstreams: settings.upstreams, keys });

async function api(incoming) {
  const url = new URL(incoming.url);
  if (url.pathname === '/health') return health();
  if (url.pathname.startsWith('/graphql/v1')) {
    if (incoming.method === 'OPTIONS') return preflight(incoming);
    const message = 'GraphQL is not part of this stack: pg_graphql is not packaged for it (the extension is a stub). Use /rest/v1.';
    return json({ data: null, errors: [{ message }], message }, 501);
  }
  const request = new Request(incoming, { headers: keys.normalise(incoming.headers) });
  if (url.pathname.startsWith('/storage/v1')) return storage.fetch(request);
  if (url.pathname.startsWith('/auth/v1')) {
    if (incoming.method === 'OPTIONS') return preflight(incoming);
    return (await authAdmin.fetch(request)) ?? auth.fetch(request);
  }
  if (url.pathname.startsWith('/rest/v1')) return lite(request);
  // @supabase/lite answers more (its studio, its configuration with the database's password): that is for the studio's port alone.
  return json({ message: `no route matched: ${url.pathname}` }, 404);
}

async function health() {
  if (!schema.loaded) return json({ status: 'starting', message: 'the schema is not read yet' }, 503);
  try {
    await Promise.race([sql`select 1`, new Promise((_, reject) => setTimeout(reject, 2000, new Error('no answer within 2 s')))]);
    return json({ status: 'ok' });
  } catch (error) {
    return json({ status: 'failing', message: `database: ${error.message}` }, 503);
  }
}

async function untilAnswered(database) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await database`select 1`;
    } catch (error) {
      if (attempt % 40 === 1) console.log(`waiting for the database (${error.code ?? error.message})`);
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}

const guarded = (handler) => getRequestListener(async (request, env) => {
  try {
    return await handler(request, env);
  } catch (error) {
    console.error(`${request.method} ${new URL(request.url).pathname}:`, error);
    return json({ message: 'internal error of the gateway; its log says more', error: String(error.message ?? error) }, 500);
  }
});

const listener = guarded(api);
const server = http.createServer((request, response) => {
  const route = proxy.route(request.url);
  return route ? proxy.handle(route, request, response) : listener(request, response);
});
server.on('upgrade', (request, socket, head) => proxy.upgrade(request, socket, head));
await seedBuckets({ sql, config, settings, storage, store });
const studioServer = http.createServer(guarded(studio(app)));
await Promise.all([once(server.listen(settings.port, '0.0.0.0'), 'listening'), once(studioServer.listen(settings.studioPort, '0.0.0.0'), 'listening')]);
console.log(`API ready after ${Math.round(performance.now())} ms: ${settings.externalUrl}`);

// From here on nothing ends the gateway: when the database restarts, whoever waits for an answer gets an error.
process.on('unhandledRejection', (error) => console.error(error));
process.on('uncaughtException', (error) => console.error(error));
