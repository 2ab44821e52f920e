// The one address of the stack, like Kong or Envoy in the official one. /rest/v1, /auth/v1 and /storage/v1 are @supabase/lite's App with what supabase-js needs beside it;
// /functions/v1, /realtime/v1 and /pg go on to their services.
import { once } from 'node:events';
import http from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { Backend, accept } from './backend.mjs';
import { load } from './config.mjs';
import { Follower } from './follow.mjs';
import { Keys } from './keys.mjs';
import { Proxy } from './proxy.mjs';
import { json, preflight } from './responses.mjs';
import { studio } from './studio.mjs';

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));

const { settings, config, warnings } = load();
const warn = (warning) => console.warn(`warning: ${warning}`);
warnings.forEach(warn);

const keys = await Keys.create(settings);
const accepted = accept({ config, settings, keys, warn });
const database = new Follower({ begin: () => new Backend({ settings, config, accepted, keys }) });
const proxy = new Proxy({ upstreams: settings.upstreams, keys });

async function api(incoming) {
  const url = new URL(incoming.url);
  if (url.pathname === '/health') return health();
  if (url.pathname.startsWith('/graphql/v1')) {
    if (incoming.method === 'OPTIONS') return preflight(incoming);
    const message = 'GraphQL is not part of this stack: pg_graphql is not packaged for it (the extension is a stub). Use /rest/v1.';
    return json({ data: null, errors: [{ message }], message }, 501);
  }
  // @supabase/lite answers more (its studio, its configuration with the database's password): that is for the studio's port alone.
  if (!['/storage/v1', '/auth/v1', '/rest/v1'].some((prefix) => url.pathname.startsWith(prefix))) return json({ message: `no route matched: ${url.pathname}` }, 404);
  if (incoming.method === 'OPTIONS' && url.pathname.startsWith('/auth/v1')) return preflight(incoming);
  const headers = keys.normalise(incoming.headers);
  return database.answer(incoming, (backend) => backend.fetch(new Request(incoming, { headers }), url));
}

async function health() {
  const backend = database.current;
  if (!backend?.seeded) return json({ status: 'starting', message: backend ? 'buckets are being made' : 'waiting for the database, and for its schema' }, 503);
  const error = await backend.check();
  return error ? json({ status: 'failing', message: `database: ${error.message}` }, 503) : json({ status: 'ok' });
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
const local = (request) => database.answer(request, (backend) => backend.app.fetch(request, { peerAddress: '127.0.0.1' }));
// Longer than clients keep a connection that they do not use, so that none is closed just when it is used again.
server.keepAliveTimeout = 75_000;
const studioServer = http.createServer(guarded(studio(local)));
await Promise.all([once(server.listen(settings.port, '0.0.0.0'), 'listening'), once(studioServer.listen(settings.studioPort, '0.0.0.0'), 'listening')]);
console.log(`API listens after ${Math.round(performance.now())} ms: ${settings.externalUrl}`);

// From here on nothing ends the gateway: when the database restarts, whoever waits for an answer gets an error.
process.on('unhandledRejection', (error) => console.error(error));
process.on('uncaughtException', (error) => console.error(error));
