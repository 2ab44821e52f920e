import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Keys } from '../src/keys.mjs';

const settings = { jwtSecret: 'super-secret-jwt-token-with-at-least-32-characters-long', publishableKey: 'sb_publishable_x', secretKey: 'sb_secret_x' };
const keys = await Keys.create(settings);
const request = (headers) => new Request('http://localhost/', { headers });

test('the older keys are byte for byte those of the Supabase CLI', () => {
  assert.equal(keys.anon, 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJzdXBhYmFzZS1kZW1vIiwicm9sZSI6ImFub24iLCJleHAiOjE5ODM4MTI5OTZ9.CRXP1A7WOeoJeXxjNni43kdQwgnWNReilDMblYTn_I0');
  assert.equal(keys.serviceRole, 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJzdXBhYmFzZS1kZW1vIiwicm9sZSI6InNlcnZpY2Vfcm9sZSIsImV4cCI6MTk4MzgxMjk5Nn0.EGIM96RAZx35lJzdJsyH-qQwv8Hdp7fsn3W0YpN81IU');
});

test('roles of keys', async () => {
  assert.deepEqual([keys.role('sb_publishable_x'), keys.role(keys.anon), keys.role('sb_secret_x'), keys.role(keys.serviceRole), keys.role('invented')], ['anon', 'anon', 'service_role', 'service_role', null]);
  assert.deepEqual(await keys.resolver('sb_secret_x'), { type: 'secret', claims: { role: 'service_role' } });
  assert.equal(await keys.resolver('invented'), null);
});

test('a key as bearer token is moved to `apikey`; a user’s token stays', () => {
  const moved = keys.normalise(new Headers({ authorization: 'Bearer sb_publishable_x' }));
  assert.deepEqual([moved.get('apikey'), moved.get('authorization')], ['sb_publishable_x', null]);
  const kept = keys.normalise(new Headers({ authorization: 'Bearer token-of-a-user', apikey: 'sb_publishable_x' }));
  assert.equal(kept.get('authorization'), 'Bearer token-of-a-user');
});

test('the admin API is for the secret key and tokens of service_role', async () => {
  const user = await keys.sign({ sub: 'x', role: 'authenticated' });
  assert.equal(await keys.isService(request({ apikey: 'sb_secret_x' })), true);
  assert.equal(await keys.isService(request({ authorization: `Bearer ${keys.serviceRole}` })), true);
  assert.equal(await keys.isService(request({ apikey: 'sb_secret_x', authorization: `Bearer ${user}` })), false);
  assert.equal(await keys.isService(request({ apikey: 'sb_publishable_x' })), false);
  assert.equal(await keys.isService(request({ apikey: 'sb_publishable_x', authorization: 'Bearer forged' })), false);
  assert.equal(await keys.isService(request({})), false);
});
