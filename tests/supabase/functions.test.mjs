import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFile, writeFile } from 'node:fs/promises';
import { API_URL, PUBLISHABLE_KEY, STUDIO_URL, client, newUser, ok, until } from './helpers.mjs';

test('a function answers, with the key and with a user’s token', async () => {
  assert.deepEqual(await ok(client().functions.invoke('hello', { body: { name: 'key' } })), { message: 'Hello key!' });
  const { supabase } = await newUser();
  assert.deepEqual(await ok(supabase.functions.invoke('hello', { body: { name: 'user' } })), { message: 'Hello user!' });
});

test('an invented token: 401', async () => {
  const response = await fetch(`${API_URL}/functions/v1/hello`, { method: 'POST', headers: { authorization: 'Bearer invented' } });
  assert.equal(response.status, 401);
});

test('verify_jwt = false in config.toml: no token needed; the style with a default export', async () => {
  const response = await fetch(`${API_URL}/functions/v1/ping`);
  assert.deepEqual([response.status, await response.json()], [200, { pong: true, region: 'local' }]);
});

test('an unknown function: 404', async () => {
  const { error } = await client().functions.invoke('no-such-function');
  assert.equal(error.context.status, 404);
});

test('preflight is answered by the function itself', async () => {
  const response = await fetch(`${API_URL}/functions/v1/hello`, { method: 'OPTIONS' });
  assert.equal(await response.text(), 'ok');
});

const shared = process.env.FUNCTIONS_DIR && `${process.env.FUNCTIONS_DIR}/_shared/cors.ts`;
test('a changed file of _shared is in effect at once', { skip: !shared && 'set FUNCTIONS_DIR to the supabase/functions of the stack' }, async () => {
  const before = await readFile(shared, 'utf8');
  const preflight = async () => (await fetch(`${API_URL}/functions/v1/ping`, { headers: { apikey: PUBLISHABLE_KEY } })).headers.get('access-control-allow-origin');
  assert.equal(await preflight(), '*');
  try {
    await writeFile(shared, before.replace('"*"', '"http://changed"'));
    await until(async () => (await preflight().catch(() => null)) === 'http://changed', 'the change', 5000);
  } finally {
    await writeFile(shared, before);
  }
});

test('the studio shows itself, and its data needs no key on its own port', async () => {
  const page = await fetch(STUDIO_URL);
  assert.equal(page.status, 200);
  assert.match(await page.text(), /<html/i);
  assert.equal((await fetch(`${STUDIO_URL}/rest/v1/lists`)).status, 200);
});
