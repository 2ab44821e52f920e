// All sessions of the API and of realtime end, as when the database is replaced under them (`devenv db branch switch`). By itself, after the other tests: they would notice.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import postgres from 'postgres';
import { API_URL, DB_URL, PUBLISHABLE_KEY, admin, newUser, ok, pause, unique, until } from '../helpers.mjs';

const url = new URL(DB_URL);
// The services' own role, whose sessions only it may end.
url.username = 'supabase_admin';
const sql = postgres(url.href, { max: 1, onnotice() {} });
const ada = await newUser();
after(() => sql.end());

const endSessions = () => sql`select pg_terminate_backend(pid) from pg_stat_activity where usename = 'supabase_admin' and backend_type = 'client backend' and pid <> pg_backend_pid()`;
const healthy = () => until(async () => (await fetch(`${API_URL}/health`)).ok, 'the API is healthy again');

test('who reads waits; on a machine that is too busy for that, it is told to try again', async () => {
  await healthy();
  let stop = false;
  const answers = new Set();
  const readers = Array.from({ length: 5 }, async () => {
    while (!stop) {
      const response = await fetch(`${API_URL}/rest/v1/lists?select=id`, { headers: { apikey: PUBLISHABLE_KEY } });
      await response.text();
      answers.add(`${response.status} ${response.headers.get('retry-after') ?? ''}`.trim());
      await pause(2);
    }
  });
  for (let round = 0; round < 3; round++) {
    await pause(50);
    await endSessions();
    await healthy();
  }
  stop = true;
  await Promise.all(readers);
  answers.delete('503 1');
  assert.deepEqual([...answers], ['200']);
});

test('what is written is written once, or refused clearly', async () => {
  const titles = Array.from({ length: 40 }, () => unique('todo'));
  const answers = titles.map(async (title, i) => {
    await pause(i);
    const { error, status } = await ada.supabase.from('todos').insert({ title });
    return { title, error, status };
  });
  await pause(10);
  await endSessions();
  for (const { title, error, status } of await Promise.all(answers)) {
    if (error) assert.deepEqual([status, error.code], [503, 'PGRST001'], error.message);
    const rows = await ok(ada.supabase.from('todos').select('id').eq('title', title));
    assert.ok(error ? rows.length <= 1 : rows.length === 1, `${title}: ${rows.length}`);
  }
});

test('a table that was made meanwhile is known', async () => {
  const table = `made_${unique('').replace(/\W/g, '')}`;
  await sql.begin(async (tx) => {
    await tx`create table public.${tx(table)} (id int primary key)`;
    await tx`select pg_terminate_backend(pid) from pg_stat_activity where usename = 'supabase_admin' and backend_type = 'client backend' and pid <> pg_backend_pid()`;
  });
  await until(async () => (await admin().from(table).select()).status === 200, 'the table is served');
  await sql`drop table public.${sql(table)}`;
});

test('changes are told again', async () => {
  const seen = new Set();
  const channel = ada.supabase.channel(unique('room')).on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'todos' }, ({ new: row }) => seen.add(row.title));
  await new Promise((resolve) => channel.subscribe((status) => status === 'SUBSCRIBED' && resolve()));
  await endSessions();
  await until(async () => {
    const title = unique('todo');
    const { error } = await ada.supabase.from('todos').insert({ title });
    if (error) return false;
    for (let i = 0; i < 20 && !seen.has(title); i++) await pause(25);
    return seen.has(title);
  }, 'a change is told');
  await ada.supabase.removeAllChannels();
});
