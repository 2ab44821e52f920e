import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isValidToken, legacyKey } from '../src/auth.mjs';
import { parseConfig } from '../src/config.mjs';

const SECRET = 'super-secret-jwt-token-with-at-least-32-characters-long';

test('functions of config.toml', () => {
  const { functions, secrets } = parseConfig(
    '[functions.hello]\nverify_jwt = false # open\nentrypoint = "./functions/hello/main.ts"\n[functions."other-one"]\nenabled=false\n[auth]\nverify_jwt = 1\n[edge_runtime.secrets]\nKEY = "env(MY_KEY)"\n',
    (name) => ({ MY_KEY: 'value' })[name],
  );
  assert.deepEqual(functions, { hello: { enabled: true, verify_jwt: false, entrypoint: './functions/hello/main.ts' }, 'other-one': { enabled: false, verify_jwt: true } });
  assert.deepEqual(secrets, { KEY: 'value' });
});

test('the older keys are byte for byte those of the Supabase CLI', async () => {
  assert.equal(await legacyKey('anon', SECRET),
    'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJzdXBhYmFzZS1kZW1vIiwicm9sZSI6ImFub24iLCJleHAiOjE5ODM4MTI5OTZ9.CRXP1A7WOeoJeXxjNni43kdQwgnWNReilDMblYTn_I0');
});

test('tokens: ours are valid, changed ones and others are not', async () => {
  const token = await legacyKey('anon', SECRET);
  assert.equal(await isValidToken(token, SECRET), true);
  assert.equal(await isValidToken(token, 'another secret'), false);
  assert.equal(await isValidToken(`${token.slice(0, -3)}AAA`, SECRET), false);
  for (const nonsense of ['', 'a', 'a.b.c', 'sb_publishable_x']) assert.equal(await isValidToken(nonsense, SECRET), false);
});
