import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { App } from '@supabase/lite';
import { acceptedConfig, bucketsOf, bytes, liteConfig, milliseconds, parseConfig, parseDotenv } from '../src/config.mjs';

const settings = { port: 54321, databaseUrl: 'postgres://x', jwtSecret: 's', publishableKey: 'p', secretKey: 'k', projectDir: '/nowhere' };
const stock = readFileSync(new URL('fixtures/stock-config.toml', import.meta.url), 'utf8');

test('the config.toml of `supabase init` 3.1.0 is read without a warning', () => {
  const { config, warnings } = parseConfig(stock);
  assert.deepEqual(warnings, []);
  assert.equal(config.auth.enable_anonymous_sign_ins, false);
});

test('@supabase/lite gets what it knows, and nothing else', () => {
  const lite = liteConfig(parseConfig(stock).config, settings);
  assert.deepEqual(Object.keys(lite.auth).sort(), ['additional_redirect_urls', 'email', 'enable_anonymous_sign_ins', 'enable_refresh_token_rotation', 'enable_signup', 'enabled', 'jwt_expiry', 'jwt_secret',
    'minimum_password_length', 'publishable_key', 'refresh_token_reuse_interval', 'secret_key', 'site_url']);
  assert.deepEqual(lite.api.schemas, ['public', 'graphql_public']);
  assert.equal(lite.auth.email.enable_confirmations, false);
  assert.ok(liteConfig({}, settings).auth.enabled);
});

test('env(NAME): of the environment, empty when absent', () => {
  const { config } = parseConfig('[auth]\nsite_url = "env(SITE)"\nadditional_redirect_urls = ["env(NONE)", "http://a"]', { SITE: 'http://site' });
  assert.deepEqual(config.auth, { site_url: 'http://site', additional_redirect_urls: ['', 'http://a'] });
});

test('mistakes are named, with a suggestion, and are never fatal', () => {
  const { warnings } = parseConfig('[auht]\nx = 1\n[auth]\nsiteurl = "x"\n[auth.external.apple]\nenabled = true\n[auth.mfa.totp]\nenroll_enabled = true');
  assert.match(warnings[0], /unknown section \[auht\] \(did you mean auth\?\)/);
  assert.match(warnings[1], /unknown key auth\.siteurl \(did you mean site_url\?\)/);
  assert.equal(warnings.filter((warning) => /no effect here/.test(warning)).length, 2);
  const broken = parseConfig('[auth\nx');
  assert.deepEqual(broken.config, {});
  assert.match(broken.warnings[0], /cannot be read/);
});

test('buckets', () => {
  const { config } = parseConfig('[storage.buckets.images]\npublic = true\nfile_size_limit = "5MB"\nallowed_mime_types = ["image/png"]\nobjects_path = "./images"\n[storage.buckets.plain]');
  assert.deepEqual(bucketsOf(config), [
    { name: 'images', public: true, file_size_limit: 5_000_000, allowed_mime_types: ['image/png'], objects_path: './images' },
    { name: 'plain', public: false, file_size_limit: null, allowed_mime_types: null, objects_path: null },
  ]);
  assert.deepEqual(bucketsOf({}), []);
});

test('sizes and durations', () => {
  assert.deepEqual(['50MiB', '500KB', '1GiB', '12', 7, '', 'many'].map(bytes), [52_428_800, 500_000, 1_073_741_824, 12, 7, null, null]);
  assert.deepEqual(['1s', '1m30s', '24h', '500ms', 'none', undefined].map((text) => milliseconds(text)), [1000, 90_000, 86_400_000, 500, 0, 0]);
});

test('.env', () => {
  assert.deepEqual(parseDotenv('A=1\nexport B="two words" # x\n# C=3\nD=plain # comment\nE=\'x\'\n'), { A: '1', B: 'two words', D: 'plain', E: 'x' });
});

test('values that @supabase/lite refuses are left out, and named', () => {
  const { config } = parseConfig(`
[api]
max_rows = "many"
[auth]
jwt_expiry = "1h"
[auth.email]
otp_length = "six"
[auth.sessions]
timebox = "24h"
[auth.external.github]
enabled = true
client_id = "id"
secret = "secret"
redirect_uri = "http://127.0.0.1:54321/auth/v1/callback"
url = ""
skip_nonce_check = false
email_optional = false`);
  const warnings = [];
  const app = acceptedConfig(liteConfig(config, settings), (accepted) => new App({ ...accepted, connection: {} }), (warning) => warnings.push(warning));
  assert.equal(app.config.auth.external.github.client_id, 'id');
  assert.equal(app.config.auth.jwt_expiry, 3600);
  for (const key of ['api.max_rows', 'auth.jwt_expiry', 'auth.email.otp_length']) assert.ok(warnings.some((warning) => warning.includes(key)), `${key}: ${warnings}`);
  assert.equal(warnings.length, 3, warnings.join('\n'));
});
