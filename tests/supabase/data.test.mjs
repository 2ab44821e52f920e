import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import postgres from 'postgres';
import { API_URL, DB_URL, PUBLISHABLE_KEY, admin, client, newUser, ok, unique, until } from './helpers.mjs';

const sql = postgres(DB_URL, { max: 2, onnotice() {} });
after(() => sql.end());

const ada = await newUser();
const bob = await newUser();
const anonymous = client();
const todo = (values) => ok(ada.supabase.from('todos').insert({ title: unique('todo'), ...values }).select().single());

test('insert fills in the owner; both users see only their own rows', async () => {
  const mine = await todo({ title: 'private' });
  assert.equal(mine.user_id, ada.user.id);
  assert.equal((await ok(ada.supabase.from('todos').select().eq('id', mine.id))).length, 1);
  assert.equal((await ok(bob.supabase.from('todos').select().eq('id', mine.id))).length, 0);
  assert.equal((await ok(anonymous.from('todos').select().eq('id', mine.id))).length, 0);
  assert.equal((await ok(admin().from('todos').select().eq('id', mine.id))).length, 1);
});

test('42501: a row for somebody else is refused', async () => {
  const { error, status } = await bob.supabase.from('todos').insert({ title: 'forged', user_id: ada.user.id });
  assert.equal(error.code, '42501');
  assert.equal(status, 403);
});

test('update and delete reach only own rows', async () => {
  const mine = await todo();
  assert.deepEqual(await ok(bob.supabase.from('todos').update({ title: 'stolen' }).eq('id', mine.id).select()), []);
  assert.deepEqual(await ok(bob.supabase.from('todos').delete().eq('id', mine.id).select()), []);
  assert.equal((await ok(ada.supabase.from('todos').update({ done: true }).eq('id', mine.id).select('done').single())).done, true);
  assert.equal((await ok(ada.supabase.from('todos').delete().eq('id', mine.id).select('id'))).length, 1);
});

test('insert of many rows', async () => {
  const rows = await ok(ada.supabase.from('todos').insert([{ title: 'one' }, { title: 'two' }, { title: 'three' }]).select('title'));
  assert.deepEqual(rows.map(({ title }) => title).sort(), ['one', 'three', 'two']);
});

test('upsert', async () => {
  const { id } = await todo();
  const changed = await ok(ada.supabase.from('todos').upsert({ id, title: 'upserted' }).select('id, title').single());
  assert.deepEqual(changed, { id, title: 'upserted' });
  const name = unique('list');
  await ok(admin().from('lists').upsert([{ id: 1, name }], { onConflict: 'id', ignoreDuplicates: true }));
  assert.equal((await ok(anonymous.from('lists').select().eq('name', name))).length, 0);
});

test('embedding of a parent, a child list and a count', async () => {
  const { id } = await todo({ list_id: 2 });
  const row = await ok(ada.supabase.from('todos').select('id, list:lists(name), profiles(username)').eq('id', id).single());
  assert.deepEqual([row.list.name, typeof row.profiles.username], ['work', 'string']);
  const list = await ok(ada.supabase.from('lists').select('name, todos(id)').eq('id', 2).single());
  assert.ok(list.todos.some((child) => child.id === id));
  const counted = await ok(ada.supabase.from('lists').select('name, todos(count)').eq('id', 2).single());
  assert.ok(counted.todos[0].count >= 1);
});

test('embedding with !inner filters the parents', async () => {
  const { id } = await todo({ list_id: 3 });
  const rows = await ok(ada.supabase.from('todos').select('id, lists!inner(name)').eq('lists.name', 'someday').eq('id', id));
  assert.equal(rows.length, 1);
  assert.equal((await ok(ada.supabase.from('todos').select('id, lists!inner(name)').eq('lists.name', 'groceries').eq('id', id))).length, 0);
});

test('spread of an embedded row', async () => {
  const { id } = await todo({ list_id: 1 });
  assert.deepEqual(await ok(ada.supabase.from('todos').select('id, ...lists(list_name:name)').eq('id', id).single()), { id, list_name: 'groceries' });
});

test('exact count, without rows and with a range', async () => {
  await todo();
  await todo();
  const { count, data } = await ada.supabase.from('todos').select('*', { count: 'exact', head: true });
  assert.ok(count >= 2);
  assert.equal(data, null);
  const page = await ada.supabase.from('todos').select('id', { count: 'exact' }).order('id').range(0, 1);
  assert.deepEqual([page.data.length, page.status], [2, count > 2 ? 206 : 200]);
});

test('filters: or, in, like, not, is, gt, order, limit', async () => {
  const tag = unique('tag');
  await ok(ada.supabase.from('todos').insert([{ title: 'aa', tags: [tag] }, { title: 'ab', tags: [tag], done: true }, { title: 'b', tags: [tag] }]));
  const of = (query) => query(ada.supabase.from('todos').select('title').contains('tags', [tag])).order('title').then(({ data, error }) => (assert.equal(error, null), data.map(({ title }) => title)));
  assert.deepEqual(await of((q) => q.or('title.eq.aa,title.eq.b')), ['aa', 'b']);
  assert.deepEqual(await of((q) => q.in('title', ['aa', 'ab'])), ['aa', 'ab']);
  assert.deepEqual(await of((q) => q.like('title', 'a%')), ['aa', 'ab']);
  assert.deepEqual(await of((q) => q.not('title', 'ilike', 'A%')), ['b']);
  assert.deepEqual(await of((q) => q.is('done', true)), ['ab']);
  assert.deepEqual(await of((q) => q.gt('title', 'aa').limit(1)), ['ab']);
});

test('text search', async () => {
  const { id } = await todo({ title: 'The gardener was planting roses' });
  assert.equal((await ok(ada.supabase.from('todos').select('id').textSearch('search', 'plants & rose').eq('id', id))).length, 1);
  assert.equal((await ok(ada.supabase.from('todos').select('id').textSearch('search', 'planting -tulips', { type: 'websearch', config: 'english' }).eq('id', id))).length, 1);
});

test('jsonb: paths in the selection and in filters, containment', async () => {
  const { id } = await todo({ details: { shop: { name: 'corner', open: true } } });
  assert.deepEqual(await ok(ada.supabase.from('todos').select('shop:details->shop->>name').eq('details->shop->>name', 'corner').eq('id', id).single()), { shop: 'corner' });
  assert.equal((await ok(ada.supabase.from('todos').select('id').contains('details', { shop: { open: true } }).eq('id', id))).length, 1);
});

test('arrays: contains, overlaps', async () => {
  const [red, blue] = [unique('red'), unique('blue')];
  const { tags } = await todo({ tags: [red, blue] });
  assert.deepEqual(tags, [red, blue]);
  assert.equal((await ok(ada.supabase.from('todos').select('id').contains('tags', [red]))).length, 1);
  assert.equal((await ok(ada.supabase.from('todos').select('id').overlaps('tags', [blue, 'nothing']))).length, 1);
});

test('enum: order of its values, 22P02 for another', async () => {
  assert.equal((await todo({ priority: 'high' })).priority, 'high');
  const { error } = await ada.supabase.from('todos').insert({ title: 'x', priority: 'urgent' });
  assert.equal(error.code, '22P02');
});

test('vector: a column, and the nearest rows by rpc', async () => {
  const [row] = await ok(anonymous.from('documents').select('embedding').eq('title', 'about cats'));
  assert.equal(row.embedding, '[1,0,0]');
  const nearest = await ok(anonymous.rpc('match_documents', { query_embedding: [0.95, 0, 0], match_count: 2 }));
  assert.deepEqual(nearest.map(({ title }) => title), ['about cats', 'about dogs']);
});

test('csv', async () => {
  const csv = await ok(anonymous.from('lists').select('id,name').eq('id', 1).csv());
  assert.equal(csv.trim(), 'id,name\n1,groceries');
});

test('a view with security_invoker', async () => {
  const [open, done] = [await todo(), await todo({ done: true })];
  const ids = (await ok(ada.supabase.from('open_todos').select('id'))).map(({ id }) => id);
  assert.ok(ids.includes(open.id) && !ids.includes(done.id));
  assert.equal((await ok(bob.supabase.from('open_todos').select('id').eq('id', open.id))).length, 0);
});

test('rpc by POST and by GET', async () => {
  assert.equal(await ok(anonymous.rpc('add', { a: 2, b: 3 })), 5);
  assert.equal(await ok(anonymous.rpc('add', { a: 4, b: 5 }, { get: true })), 9);
});

test('rpc sees who calls', async () => {
  await todo();
  assert.ok((await ok(ada.supabase.rpc('todo_count'))) >= 1);
  assert.equal(await ok(anonymous.rpc('todo_count')), 0);
});

test('rpc that returns rows can be filtered and ordered', async () => {
  const rows = await ok(anonymous.rpc('match_documents', { query_embedding: [0, 0, 1] }).select('title').neq('title', 'about cats').order('title'));
  assert.deepEqual(rows, [{ title: 'about dogs' }, { title: 'about tax law' }]);
});

test('PGRST205: an unknown table', async () => {
  const { error, status } = await anonymous.from('no_such_table').select();
  assert.deepEqual([error.code, status], ['PGRST205', 404]);
});

test('42703: an unknown column', async () => {
  const { error } = await anonymous.from('lists').select('no_such_column');
  assert.equal(error.code, '42703');
});

test('PGRST202: an unknown function', async () => {
  assert.equal((await anonymous.rpc('no_such_function')).error.code, 'PGRST202');
});

test('PGRST116: single() without a row', async () => {
  assert.equal((await anonymous.from('lists').select().eq('id', -1).single()).error.code, 'PGRST116');
  assert.equal(await ok(anonymous.from('lists').select().eq('id', -1).maybeSingle()), null);
});

test('23505 and 23503: unique and foreign keys', async () => {
  assert.equal((await admin().from('lists').insert({ id: 1, name: 'twice' })).error.code, '23505');
  assert.equal((await ada.supabase.from('todos').insert({ title: 'x', list_id: 999999 })).error.code, '23503');
});

test('no key, or an invented one: 401', async () => {
  assert.equal((await fetch(`${API_URL}/rest/v1/lists`)).status, 401);
  assert.equal((await fetch(`${API_URL}/rest/v1/lists`, { headers: { apikey: 'sb_publishable_invented' } })).status, 401);
});

test('a key in the Authorization header alone is enough', async () => {
  assert.equal((await fetch(`${API_URL}/rest/v1/lists`, { headers: { authorization: `Bearer ${PUBLISHABLE_KEY}` } })).status, 200);
});

test('a table made by a migration is there at once, and gone after it is dropped', async () => {
  const table = unique('made').replaceAll('-', '_');
  await sql.unsafe(`create table public.${table} (id int primary key, note text); insert into public.${table} values (1, 'here')`);
  try {
    const rows = await until(async () => (await anonymous.from(table).select()).data, `${table} in the API`, 3000);
    assert.deepEqual(rows, [{ id: 1, note: 'here' }]);
    await sql.unsafe(`alter table public.${table} add column more int default 7`);
    await until(async () => (await anonymous.from(table).select('more')).data?.[0].more === 7, 'the new column', 3000);
  } finally {
    await sql.unsafe(`drop table public.${table}`);
  }
  await until(async () => (await anonymous.from(table).select()).error?.code === 'PGRST205', 'PGRST205', 3000);
});

test('the database calls out: a webhook of the dashboard, over pg_net', async () => {
  const trigger = unique('hook');
  await sql.unsafe(`create trigger "${trigger}" after update on public.lists for each row execute function supabase_functions.http_request('http://api:54321/health', 'GET', '{}', '{}', '2000')`);
  try {
    await sql`update public.lists set name = name where id = 3`;
  } finally {
    await sql.unsafe(`drop trigger "${trigger}" on public.lists`);
  }
  const [hook] = await sql`select r.status_code from supabase_functions.hooks h join net._http_response r on r.id = h.request_id where h.hook_name = ${trigger}`;
  assert.equal(hook.status_code, 200);
});

test('graphql says clearly that it is not there', async () => {
  const response = await fetch(`${API_URL}/graphql/v1`, { method: 'POST', headers: { apikey: PUBLISHABLE_KEY, 'content-type': 'application/json' }, body: '{"query":"{__typename}"}' });
  assert.equal(response.status, 501);
  assert.match((await response.json()).errors[0].message, /pg_graphql/);
});

test('browsers may call from anywhere: preflight', async () => {
  for (const path of ['/rest/v1/lists', '/auth/v1/user', '/storage/v1/object/list/avatars', '/functions/v1/hello']) {
    const response = await fetch(API_URL + path, {
      method: 'OPTIONS', headers: { origin: 'http://127.0.0.1:3000', 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,apikey,content-type,x-client-info' },
    });
    assert.ok(response.ok, `${path}: ${response.status}`);
    assert.equal(response.headers.get('access-control-allow-origin'), '*', path);
    assert.match(response.headers.get('access-control-allow-headers') ?? '', /apikey/i, path);
  }
});

test('nothing else is served: neither the studio nor its configuration', async () => {
  for (const path of ['/', '/_system/config', '/_system/info', '/rest', '/pg/tables']) assert.ok([403, 404].includes((await fetch(API_URL + path)).status), path);
});

test('/health', async () => {
  assert.deepEqual(await (await fetch(`${API_URL}/health`)).json(), { status: 'ok' });
});
