import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bannedUntil } from '../src/auth-admin.mjs';
import { newCode, tokenHash } from '../src/auth.mjs';
import { render, verifyLink } from '../src/mail.mjs';
import { Proxy } from '../src/proxy.mjs';
import { hookFunction, userResponse } from '../src/sessions.mjs';

test('links of mails lead to the API and back to the app', () => {
  const url = new URL(verifyLink('http://127.0.0.1:54321', { token: 'abc', type: 'signup', redirectTo: 'http://app/x?y=1' }));
  assert.equal(`${url.origin}${url.pathname}`, 'http://127.0.0.1:54321/auth/v1/verify');
  assert.equal(url.searchParams.get('redirect_to'), 'http://app/x?y=1');
});

test('templates', () => {
  assert.equal(render('{{ .SiteURL }}/x?t={{.TokenHash}}&n={{ .Data.name }}{{ .Nothing }}', { SiteURL: 'http://a', TokenHash: 'h', Data: { name: 'N' } }), 'http://a/x?t=h&n=N');
});

test('codes and their hashes', () => {
  assert.match(newCode(6), /^\d{6}$/);
  assert.equal(tokenHash('A@Example.com', '123456'), tokenHash('a@example.com', '123456'));
  assert.equal(tokenHash('a', '1').length, 64);
});

test('bans', () => {
  assert.equal(bannedUntil({ ban_duration: '1h' }, 0).getTime(), 3_600_000);
  assert.equal(bannedUntil({ ban_duration: 'none' }), null);
});

test('hooks in the database', () => {
  assert.equal(hookFunction({ enabled: true, uri: 'pg-functions://postgres/public/custom_access_token_hook' }), 'public.custom_access_token_hook');
  assert.equal(hookFunction({ enabled: false, uri: 'pg-functions://postgres/public/x' }), null);
  assert.equal(hookFunction(undefined), null);
});

test('a user as the Auth server shows it', () => {
  const user = userResponse({ id: 'u', email: 'a@b', raw_user_meta_data: { a: 1 }, is_anonymous: false }, [{ id: 'i', provider_id: 'p', provider: 'email' }]);
  assert.deepEqual([user.user_metadata, user.identities[0].id, user.identities[0].identity_id], [{ a: 1 }, 'p', 'i']);
});

test('routes to the other services', () => {
  const proxy = new Proxy({ upstreams: { '/functions/v1': 'http://functions:8000', '/pg': undefined }, keys: { role: () => null } });
  assert.equal(proxy.route('/functions/v1/hello')[1], 'http://functions:8000');
  assert.equal(proxy.route('/pgx'), undefined);
  const target = proxy.target(proxy.route('/functions/v1/hello?a=1'), { url: '/functions/v1/hello?a=1', method: 'GET', headers: { host: 'api' } });
  assert.deepEqual([target.hostname, target.port, target.path, target.headers.host, target.headers['x-forwarded-host']], ['functions', '8000', '/hello?a=1', 'functions:8000', 'api']);
});
