import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import postgres from 'postgres';
import { DB_URL, client, newUser, ok, pause, unique, until } from './helpers.mjs';

const sql = postgres(DB_URL, { max: 1, onnotice() {} });
const ada = await newUser();
const bob = await newUser();
const guest = client();
for (const { supabase } of [ada, bob]) await supabase.realtime.setAuth((await supabase.auth.getSession()).data.session.access_token);
const other = client();
after(async () => {
  for (const supabase of [ada.supabase, bob.supabase, guest, other]) {
    await supabase.removeAllChannels();
    await supabase.realtime.disconnect();
  }
  await sql.end();
  // supabase-js keeps timers of closed connections
  setTimeout(() => process.exit(), 200);
});

const subscribed = (channel) => new Promise((resolve, reject) => channel.subscribe((status, error) => {
  if (status === 'SUBSCRIBED') resolve(channel);
  else if (status !== 'CLOSED') reject(error ?? new Error(status));
}));

test('a change reaches its owner, not the other user; insert, update, delete', async () => {
  const [mine, others] = [[], []];
  const listen = (supabase, into) => subscribed(supabase.channel(unique('changes')).on('postgres_changes', { event: '*', schema: 'public', table: 'todos' }, (change) => into.push(change)));
  await listen(ada.supabase, mine);
  await listen(bob.supabase, others);
  const title = unique('live');
  const { id } = await ok(ada.supabase.from('todos').insert({ title, tags: ['x', 'y'], details: { a: 1 } }).select('id').single());
  const insert = await until(() => mine.find((change) => change.new.id === id), 'the insert');
  assert.deepEqual([insert.eventType, insert.schema, insert.table, insert.new.title, insert.new.user_id], ['INSERT', 'public', 'todos', title, ada.user.id]);
  assert.deepEqual([insert.new.done, insert.new.tags, insert.new.details], [false, ['x', 'y'], { a: 1 }]);
  await ok(ada.supabase.from('todos').update({ done: true }).eq('id', id));
  assert.equal((await until(() => mine.find((change) => change.eventType === 'UPDATE'), 'the update')).new.done, true);
  await ok(ada.supabase.from('todos').delete().eq('id', id));
  assert.equal((await until(() => mine.find((change) => change.eventType === 'DELETE'), 'the delete')).old.id, id);
  assert.equal(others.filter((change) => change.eventType !== 'DELETE').length, 0);
});

test('changes with a filter and of one kind only', async () => {
  const wanted = [];
  await subscribed(ada.supabase.channel(unique('filter')).on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'todos', filter: 'priority=eq.high' }, (change) => wanted.push(change.new.title)));
  await ok(ada.supabase.from('todos').insert([{ title: 'calm' }, { title: 'urgent', priority: 'high' }]));
  await until(() => wanted.length, 'the urgent one');
  assert.deepEqual(wanted, ['urgent']);
});

test('a table that is not published stays silent', async () => {
  const seen = [];
  await subscribed(ada.supabase.channel(unique('silent')).on('postgres_changes', { event: '*', schema: 'public', table: 'lists' }, (change) => seen.push(change)));
  await sql`update public.lists set name = name where id = 1`;
  await pause(500);
  assert.equal(seen.length, 0);
});

test('broadcast reaches the others; with self and ack also the sender', async () => {
  const topic = unique('room');
  const received = [];
  await subscribed(other.channel(topic).on('broadcast', { event: 'note' }, ({ payload }) => received.push(payload)));
  const own = [];
  const sender = await subscribed(guest.channel(topic, { config: { broadcast: { self: true, ack: true } } }).on('broadcast', { event: 'note' }, ({ payload }) => own.push(payload)));
  assert.equal(await sender.send({ type: 'broadcast', event: 'note', payload: { text: 'hello' } }), 'ok');
  await until(() => received.length && own.length, 'both');
  assert.deepEqual([received, own], [[{ text: 'hello' }], [{ text: 'hello' }]]);
});

test('broadcast over http, without a subscription', async () => {
  const topic = unique('http');
  const received = [];
  await subscribed(other.channel(topic).on('broadcast', { event: 'note' }, ({ payload }) => received.push(payload)));
  const channel = guest.channel(topic);
  assert.deepEqual(await channel.httpSend('note', { by: 'http' }), { success: true });
  await until(() => received.length, 'the message');
  assert.deepEqual(received, [{ by: 'http' }]);
});

test('broadcast from the database: realtime.send', async () => {
  const topic = unique('database');
  const received = [];
  await subscribed(guest.channel(topic).on('broadcast', { event: 'note' }, ({ payload }) => received.push(payload)));
  await sql`select realtime.send('{"by": "sql"}'::jsonb, 'note', ${topic}, false)`;
  await until(() => received.length, 'the message');
  assert.equal(received[0].by, 'sql');
});

test('a private channel needs a policy on realtime.messages', async () => {
  const topic = unique('private');
  const refused = ada.supabase.channel(topic, { config: { private: true } });
  await assert.rejects(subscribed(refused), /Unauthorized|permissions/);
  await ada.supabase.removeChannel(refused);
  const policy = unique('policy');
  await sql.unsafe(`create policy "${policy}" on realtime.messages for select to authenticated using (realtime.topic() = '${topic}')`);
  try {
    await subscribed(ada.supabase.channel(topic, { config: { private: true } }));
  } finally {
    await sql.unsafe(`drop policy "${policy}" on realtime.messages`);
  }
});

test('presence: who is here, who joins, who leaves', async () => {
  const topic = unique('lobby');
  const events = [];
  const observer = other.channel(topic);
  observer.on('presence', { event: 'join' }, ({ key, newPresences }) => events.push(['join', key, newPresences[0].mood])).on('presence', { event: 'leave' }, ({ key }) => events.push(['leave', key]));
  await subscribed(observer);
  const visitor = await subscribed(guest.channel(topic, { config: { presence: { key: 'visitor' } } }));
  await visitor.track({ mood: 'curious' });
  await until(() => events.length === 1, 'join');
  assert.equal(observer.presenceState().visitor[0].mood, 'curious');
  await visitor.untrack();
  await until(() => events.length === 2, 'leave');
  assert.deepEqual(events, [['join', 'visitor', 'curious'], ['leave', 'visitor']]);
  assert.deepEqual(observer.presenceState(), {});
});

test('an invented token is refused', async () => {
  const stranger = client('sb_publishable_invented');
  await assert.rejects(subscribed(stranger.channel(unique('closed'))));
  await stranger.removeAllChannels();
  await stranger.realtime.disconnect();
});
