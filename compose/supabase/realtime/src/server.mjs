// Realtime as supabase-js speaks it: channels with broadcast, presence and changes of the database. One process, everything in memory.
import http from 'node:http';
import { randomUUID } from 'node:crypto';
import { jwtVerify } from 'jose';
import postgres from 'postgres';
import { WebSocketServer } from 'ws';
import { lasting } from '../../shared/connections.mjs';
import { Access } from './access.mjs';
import { Changes, toChange, wants } from './changes.mjs';
import { decode, encode } from './protocol.mjs';

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
process.on('unhandledRejection', (error) => console.error(error));

const { PGHOST = 'db', PGPORT = '5432', PGUSER = 'supabase_admin', PGPASSWORD = '', PGDATABASE = 'postgres', JWT_SECRET, PUBLISHABLE_KEY, SECRET_KEY, PORT = '4000' } = process.env;
const databaseUrl = `postgres://${encodeURIComponent(PGUSER)}:${encodeURIComponent(PGPASSWORD)}@${PGHOST}:${PGPORT}/${PGDATABASE}`;
const sql = postgres(databaseUrl, { ...lasting, max: 4, idle_timeout: 60 });
const secret = new TextEncoder().encode(JWT_SECRET);
const keys = new Map([[PUBLISHABLE_KEY, { role: 'anon' }], [SECRET_KEY, { role: 'service_role' }]]);
const claimsOf = async (token) => keys.get(token) ?? (await jwtVerify(token, secret, { algorithms: ['HS256'] })).payload;

/** topic → connection → its subscription */
const topics = new Map();
let nextFilterId = 1;

const access = new Access({ sql });
const changes = new Changes({ databaseUrl, isActive: () => topics.size > 0, deliver, begin: () => access.forget() });

function send(connection, message) {
  if (connection.readyState === connection.OPEN) connection.send(encode(message, connection.version));
}

function relay(topic, event, payload, except, isPrivate) {
  for (const [connection, subscription] of topics.get(topic) ?? []) {
    if (connection !== except && (isPrivate === undefined || subscription.private === isPrivate)) send(connection, [subscription.joinRef, null, topic, event, payload]);
  }
}

async function deliver(line) {
  if (line.schema === 'realtime' && line.table === 'messages' && line.action === 'I') return deliverBroadcast(line);
  const change = toChange(line);
  if (!change || !topics.size || !(await access.isPublished(line.schema, line.table))) return;
  for (const [topic, members] of topics) {
    for (const [connection, subscription] of members) {
      const ids = subscription.filters.filter((filter) => wants(filter, change.data)).map(({ id }) => id);
      if (ids.length && (await access.canSee(subscription.claims, change))) send(connection, [subscription.joinRef, null, topic, 'postgres_changes', { ids, data: change.data }]);
    }
  }
}

/** realtime.send() in the database writes a row of realtime.messages. */
function deliverBroadcast(line) {
  const row = Object.fromEntries(line.columns.map(({ name, value }) => [name, value]));
  const topic = `realtime:${row.topic}`;
  for (const [connection, subscription] of topics.get(topic) ?? []) {
    if (subscription.private === row.private) send(connection, [subscription.joinRef, null, topic, 'broadcast', { type: 'broadcast', event: row.event, payload: JSON.parse(row.payload ?? '{}') }]);
  }
}

async function join(connection, joinRef, ref, topic, payload) {
  const reply = (status, response) => send(connection, [joinRef, ref, topic, 'phx_reply', { status, response }]);
  const config = payload.config ?? {};
  let claims;
  try {
    claims = await claimsOf(payload.access_token || connection.key);
  } catch (error) {
    return reply('error', { reason: `InvalidJWT: ${error.message}` });
  }
  const name = topic.replace(/^realtime:/, '');
  const allowed = config.private ? await access.toTopic(claims, name) : { read: true, write: true };
  if (!allowed.read) return reply('error', { reason: `Unauthorized: You do not have permissions to read from this Channel topic: ${name}` });

  const filters = (config.postgres_changes ?? []).map((filter) => ({ id: nextFilterId++, ...filter }));
  if (!topics.has(topic)) topics.set(topic, new Map());
  topics.get(topic).set(connection, {
    claims, filters, joinRef, private: Boolean(config.private), canWrite: allowed.write, self: Boolean(config.broadcast?.self), ack: Boolean(config.broadcast?.ack),
    presenceKey: config.presence?.key || randomUUID(), presence: null,
  });
  changes.wake();
  reply('ok', { postgres_changes: filters });
  if (filters.length) send(connection, [joinRef, null, topic, 'system', { channel: name, extension: 'postgres_changes', message: 'Subscribed to PostgreSQL', status: 'ok' }]);
  send(connection, [joinRef, null, topic, 'presence_state', presenceState(topic)]);
}

function presenceState(topic) {
  const state = {};
  for (const { presenceKey, presence } of topics.get(topic)?.values() ?? []) if (presence) (state[presenceKey] ??= { metas: [] }).metas.push(presence);
  return state;
}

const presenceDiff = (topic, joins, leaves) => relay(topic, 'presence_diff', { joins, leaves });

function track(topic, subscription, payload) {
  const entry = (meta) => (meta ? { [subscription.presenceKey]: { metas: [meta] } } : {});
  const before = subscription.presence;
  subscription.presence = payload && { phx_ref: randomUUID(), ...payload };
  if (before || subscription.presence) presenceDiff(topic, entry(subscription.presence), entry(before));
}

function leave(connection, topic) {
  const members = topics.get(topic);
  const subscription = members?.get(connection);
  if (!subscription) return;
  members.delete(connection);
  track(topic, subscription, null);
  if (!members.size) topics.delete(topic);
}

async function receive(connection, [joinRef, ref, topic, event, payload]) {
  const ok = (response = {}) => send(connection, [joinRef, ref, topic, 'phx_reply', { status: 'ok', response }]);
  if (topic === 'phoenix' && event === 'heartbeat') return ok();
  if (event === 'phx_join') return join(connection, joinRef, ref, topic, payload ?? {});
  const subscription = topics.get(topic)?.get(connection);
  if (!subscription) return send(connection, [joinRef, ref, topic, 'phx_reply', { status: 'error', response: { reason: 'unmatched topic' } }]);
  switch (event) {
    case 'phx_leave':
      leave(connection, topic);
      ok();
      return send(connection, [joinRef, null, topic, 'phx_close', {}]);
    case 'access_token':
      subscription.claims = await claimsOf(payload.access_token).catch(() => subscription.claims);
      return undefined;
    case 'broadcast':
      if (subscription.canWrite) relay(topic, 'broadcast', payload, subscription.self ? null : connection, subscription.private);
      return subscription.ack && ok();
    case 'presence':
      if (subscription.canWrite) track(topic, subscription, payload.event === 'track' ? payload.payload ?? {} : null);
      return ok();
    default:
      return undefined;
  }
}

const body = async (request) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
};

/** Broadcast over plain http: channel.httpSend() to /api/broadcast/TOPIC/events/EVENT, older clients and servers several messages to /api/broadcast. */
async function broadcast(request, response) {
  const fail = (status, message) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ message }));
  const claims = await claimsOf(request.headers.authorization?.replace(/^Bearer /i, '') || request.headers.apikey).catch(() => null);
  if (!claims) return fail(401, 'Unauthorized');
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  const [, topic, event] = pathname.match(/^\/api\/broadcast\/([^/]+)\/events\/([^/]+)$/)?.map(decodeURIComponent) ?? [];
  const content = await body(request);
  let messages;
  try {
    const payload = request.headers['content-type']?.startsWith('application/octet-stream') ? new Uint8Array(content) : JSON.parse(content.toString() || '{}');
    messages = topic ? [{ topic, event, payload, private: searchParams.get('private') === 'true' }] : payload.messages;
  } catch (error) {
    return fail(400, error.message);
  }
  for (const message of messages ?? []) {
    const name = message.topic.replace(/^realtime:/, '');
    if (message.private && !(await access.toTopic(claims, name)).write) {
      if (topic) return fail(403, `You do not have permissions to write to this Channel topic: ${name}`);
      continue;
    }
    relay(`realtime:${name}`, 'broadcast', { type: 'broadcast', event: message.event, payload: message.payload }, null, Boolean(message.private));
  }
  return response.writeHead(202).end();
}

const server = http.createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  if (pathname === '/health') return response.writeHead(changes.ready ? 200 : 503).end(changes.ready ? 'OK' : 'starting');
  if (request.method === 'POST' && pathname.startsWith('/api/broadcast')) return broadcast(request, response);
  return response.writeHead(404).end();
});

new WebSocketServer({ server }).on('connection', (connection, request) => {
  const { searchParams } = new URL(request.url, 'http://localhost');
  connection.key = searchParams.get('apikey');
  connection.version = searchParams.get('vsn') ?? '1.0.0';
  // One message after the other: a push must not overtake the join before it, which asks the database.
  let queue = Promise.resolve();
  connection.on('message', (data, isBinary) => {
    queue = queue.then(() => receive(connection, decode(data, isBinary))).catch((error) => console.error(`message: ${error.message}`));
  });
  connection.on('error', () => connection.terminate());
  connection.on('close', () => [...topics.keys()].forEach((topic) => leave(connection, topic)));
});

// Messages of the database have been delivered long ago.
setInterval(() => sql`delete from realtime.messages where inserted_at < now() - interval '1 hour'`.catch(() => {}), 600_000).unref();
server.listen(Number(PORT), '0.0.0.0', () => console.log(`realtime ready after ${Math.round(performance.now())} ms`));
