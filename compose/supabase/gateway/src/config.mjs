// supabase/config.toml, as the Supabase CLI writes it: every section is tolerated, what we cannot honour is named in the log, nothing in it stops the stack.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'smol-toml';

/** Sections of a stock config.toml. `true`: any key below is known. What is missing here is reported as unknown (usually a typing mistake). */
const KNOWN = {
  project_id: true,
  api: ['enabled', 'port', 'schemas', 'extra_search_path', 'max_rows', 'auto_expose_new_tables', 'tls', 'external_url'],
  db: ['port', 'shadow_port', 'health_timeout', 'major_version', 'orioledb_version', 'root_key', 'pooler', 'vault', 'migrations', 'seed', 'settings', 'network_restrictions', 'ssl_enforcement'],
  realtime: ['enabled', 'ip_version', 'max_header_length'],
  studio: ['enabled', 'port', 'api_url', 'openai_api_key', 'pgmeta_image'],
  local_smtp: true,
  inbucket: true,
  storage: ['enabled', 'file_size_limit', 'buckets', 's3_protocol', 'image_transformation', 'analytics', 'vector'],
  auth: [
    'enabled', 'site_url', 'external_url', 'additional_redirect_urls', 'jwt_expiry', 'jwt_issuer', 'signing_keys_path', 'enable_refresh_token_rotation', 'refresh_token_reuse_interval',
    'enable_signup', 'enable_anonymous_sign_ins', 'enable_manual_linking', 'minimum_password_length', 'password_requirements', 'rate_limit', 'captcha', 'email', 'sms', 'sessions', 'hook',
    'mfa', 'external', 'web3', 'third_party', 'oauth_server', 'passkey', 'webauthn', 'jwt_secret', 'anon_key', 'service_role_key', 'publishable_key', 'secret_key',
  ],
  edge_runtime: true,
  functions: true,
  analytics: true,
  experimental: true,
  remotes: true,
};

/** Switched on in config.toml, yet nothing in this stack does it. */
const NOT_HONOURED = [
  ['api.tls.enabled', 'the API speaks plain http on the loopback address'],
  ['db.pooler.enabled', 'there is no pooler; connect to the database port'],
  ['auth.sms.enable_signup', 'no text messages are sent'],
  ['auth.captcha.enabled', 'captchas are not asked for'],
  ['auth.mfa.totp.enroll_enabled', 'no second factors'],
  ['auth.mfa.phone.enroll_enabled', 'no second factors'],
  ['auth.mfa.web_authn.enroll_enabled', 'no second factors'],
  ['auth.oauth_server.enabled', 'no OAuth server'],
  ['auth.passkey.enabled', 'no passkeys'],
  ['auth.signing_keys_path', 'tokens are signed with JWT_SECRET (HS256)'],
  ['storage.image_transformation.enabled', 'images are served as they are'],
];

export const at = (object, dotted) => dotted.split('.').reduce((value, key) => value?.[key], object);
const pick = (object, keys) => Object.fromEntries(keys.filter((key) => object?.[key] !== undefined && object[key] !== '').map((key) => [key, object[key]]));
const isTable = (value) => value !== null && typeof value === 'object' && Object.getPrototypeOf(value) !== Date.prototype && !Array.isArray(value);

/** `env(NAME)` becomes the value of NAME; an absent one the empty string, as with the CLI. */
export function resolveEnv(value, env) {
  if (typeof value === 'string') {
    const name = value.match(/^env\((\w+)\)$/)?.[1];
    return name ? (env[name] ?? '') : value;
  }
  if (Array.isArray(value)) return value.map((item) => resolveEnv(item, env));
  if (isTable(value)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolveEnv(item, env)]));
  return value;
}

/** The text of config.toml → what it says, and what the user should hear about it. */
export function parseConfig(text, env = {}) {
  let raw;
  try {
    raw = parse(text);
  } catch (error) {
    return { config: {}, warnings: [`supabase/config.toml cannot be read, defaults are used: ${error.message}`] };
  }
  const config = resolveEnv(raw, env);
  const warnings = [];
  for (const [section, value] of Object.entries(config)) {
    const known = KNOWN[section];
    if (!known) warnings.push(`supabase/config.toml: unknown section [${section}]${didYouMean(section, Object.keys(KNOWN))}`);
    else if (known !== true && isTable(value)) {
      for (const key of Object.keys(value)) if (!known.includes(key)) warnings.push(`supabase/config.toml: unknown key ${section}.${key}${didYouMean(key, known)}`);
    }
  }
  for (const [key, why] of NOT_HONOURED) if (at(config, key)) warnings.push(`supabase/config.toml: ${key} has no effect here: ${why}`);
  for (const provider of Object.keys(config.auth?.external ?? {})) {
    if (config.auth.external[provider]?.enabled && !['github', 'google'].includes(provider)) {
      warnings.push(`supabase/config.toml: auth.external.${provider} has no effect here: only github and google sign-in work`);
    }
  }
  return { config, warnings };
}

function didYouMean(word, candidates) {
  const best = candidates.map((candidate) => [distance(word, candidate), candidate]).sort((a, b) => a[0] - b[0])[0];
  return best && best[0] <= 2 ? ` (did you mean ${best[1]}?)` : '';
}

function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next[j] = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length];
}

/** "50MiB", "5MB", "1024" or 1024 → bytes */
export function bytes(size) {
  if (size === undefined || size === null || size === '') return null;
  if (typeof size === 'number') return size;
  const [, number, unit] = String(size).trim().match(/^([\d.]+)\s*([a-z]*)$/i) ?? [];
  const factor = { '': 1, b: 1, k: 1024, kib: 1024, kb: 1e3, m: 1024 ** 2, mib: 1024 ** 2, mb: 1e6, g: 1024 ** 3, gib: 1024 ** 3, gb: 1e9 }[(unit ?? '').toLowerCase()];
  return number && factor ? Math.round(Number(number) * factor) : null;
}

/** A duration as Go writes it ("24h", "1m30s", "500ms") → milliseconds; 0 for anything else */
export function milliseconds(duration = '') {
  const units = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };
  return [...String(duration).matchAll(/([\d.]+)(ms|h|m|s)/g)].reduce((sum, [, number, unit]) => sum + Number(number) * units[unit], 0);
}

/** [storage.buckets.NAME] as rows of storage.buckets, with the folder whose files are uploaded at first start. */
export function bucketsOf(config) {
  return Object.entries(config.storage?.buckets ?? {}).map(([name, bucket]) => ({
    name,
    public: bucket?.public ?? false,
    file_size_limit: bytes(bucket?.file_size_limit),
    allowed_mime_types: bucket?.allowed_mime_types?.length ? bucket.allowed_mime_types : null,
    objects_path: bucket?.objects_path || null,
  }));
}

/** The strict part that @supabase/lite accepts: it refuses a config with any key that it does not know. */
export function liteConfig(config, settings) {
  const auth = config.auth ?? {};
  const email = auth.email ?? {};
  const external = Object.fromEntries(['github', 'google'].filter((name) => auth.external?.[name]?.enabled)
    .map((name) => [name, pick(auth.external[name], ['enabled', 'client_id', 'secret', 'redirect_uri', 'url', 'skip_nonce_check'])]));
  return {
    project_id: config.project_id,
    api: { ...pick(config.api, ['enabled', 'schemas', 'extra_search_path', 'max_rows']), port: settings.port },
    db: { driver: 'postgres', url: settings.databaseUrl },
    storage: { enabled: config.storage?.enabled ?? true, ...pick(config.storage, ['file_size_limit']) },
    studio: { enabled: config.studio?.enabled ?? true },
    auth: {
      enabled: true,
      ...pick(auth, ['enabled', 'site_url', 'additional_redirect_urls', 'jwt_expiry', 'enable_refresh_token_rotation', 'refresh_token_reuse_interval',
        'enable_signup', 'enable_anonymous_sign_ins', 'minimum_password_length', 'password_requirements']),
      email: {
        enable_signup: email.enable_signup ?? email.enabled ?? true,
        ...pick(email, ['enable_confirmations', 'double_confirm_changes', 'secure_password_change', 'max_frequency', 'otp_length', 'otp_expiry']),
      },
      ...(auth.sessions && { sessions: pick(auth.sessions, ['timebox', 'inactivity_timeout']) }),
      ...(Object.keys(external).length && { external }),
      jwt_secret: settings.jwtSecret,
      publishable_key: settings.publishableKey,
      secret_key: settings.secretKey,
    },
  };
}

/**
 * Build with a config whose rejected values are left out one by one: a value of the wrong type in config.toml must not stop the stack.
 * `build` throws what @supabase/lite throws: an error with `errors`, the first of which names the place ("/auth/jwt_expiry").
 */
export function acceptedConfig(config, build, warn) {
  let rest = config;
  for (;;) {
    try {
      return build(rest);
    } catch (error) {
      const { instanceLocation: place, error: why } = error.errors?.[0] ?? {};
      const keys = place?.split('/').slice(1) ?? [];
      const smaller = keys.length ? without(rest, keys) : rest;
      if (JSON.stringify(smaller) === JSON.stringify(rest)) throw error;
      warn(`supabase/config.toml: ${keys.join('.')} is not accepted (${why}); its default is used`);
      rest = smaller;
    }
  }
}

function without(object, [key, ...rest]) {
  if (!isTable(object) || !(key in object)) return object;
  const { [key]: value, ...others } = object;
  const smaller = rest.length ? without(value, rest) : undefined;
  if (rest.length && smaller !== value) return { ...others, [key]: smaller };
  return others;
}

/** Paths of mail templates are relative to the project's root; many projects write them relative to supabase/. */
export function mailTemplates(config, projectDir) {
  return Object.fromEntries(Object.entries(config.auth?.email?.template ?? {}).map(([name, template]) => {
    const candidates = [path.join(projectDir, template.content_path ?? ''), path.join(projectDir, 'supabase', template.content_path ?? '')];
    const found = template.content_path && (candidates.find((file) => existsSync(file)) ?? candidates[0]);
    return [name, { ...pick(template, ['subject']), ...(found && { content_path: found }) }];
  }));
}

/** NAME=value lines; quotes and `export` are taken off. */
export function parseDotenv(text) {
  return Object.fromEntries(text.split(/\r?\n/).map((line) => line.match(/^\s*(?:export\s+)?([\w.]+)\s*=\s*(.*?)\s*$/)).filter(Boolean)
    .map(([, name, value]) => [name, value.match(/^(["'])(.*)\1/)?.[2] ?? value.replace(/\s+#.*$/, '')]));
}

const read = (file) => (existsSync(file) ? readFileSync(file, 'utf8') : '');

/** Everything the gateway is told: by its environment, by supabase/config.toml and by supabase/.env. */
export function load(env = process.env) {
  const projectDir = env.PROJECT_DIR ?? '/project';
  const supabaseDir = path.join(projectDir, 'supabase');
  const variables = { ...parseDotenv(read(path.join(supabaseDir, '.env'))), ...parseDotenv(read(path.join(supabaseDir, '.env.local'))), ...env };
  const { config, warnings } = parseConfig(read(path.join(supabaseDir, 'config.toml')), variables);
  const { PGHOST = 'db', PGPORT = '5432', PGUSER = 'supabase_admin', PGPASSWORD = '', PGDATABASE = 'postgres' } = env;
  const port = Number(env.PORT ?? 54321);
  const settings = {
    projectDir,
    supabaseDir,
    port,
    studioPort: Number(env.STUDIO_PORT ?? 54323),
    externalUrl: (env.API_EXTERNAL_URL ?? `http://127.0.0.1:${port}`).replace(/\/$/, ''),
    databaseUrl: `postgres://${encodeURIComponent(PGUSER)}:${encodeURIComponent(PGPASSWORD)}@${PGHOST}:${PGPORT}/${PGDATABASE}`,
    jwtSecret: env.JWT_SECRET,
    anonKey: env.ANON_KEY || undefined,
    serviceRoleKey: env.SERVICE_ROLE_KEY || undefined,
    publishableKey: env.PUBLISHABLE_KEY,
    secretKey: env.SECRET_KEY,
    smtp: { host: env.SMTP_HOST ?? 'mail', port: Number(env.SMTP_PORT ?? 1025), from: env.SMTP_FROM ?? config.local_smtp?.admin_email ?? 'admin@email.com' },
    storageUrl: env.STORAGE_URL ?? 'http://storage:5000',
    upstreams: { '/functions/v1': env.FUNCTIONS_URL, '/realtime/v1': env.REALTIME_URL, '/pg': env.META_URL },
  };
  for (const name of ['jwtSecret', 'publishableKey', 'secretKey']) if (!settings[name]) throw new Error(`${{ jwtSecret: 'JWT_SECRET', publishableKey: 'PUBLISHABLE_KEY', secretKey: 'SECRET_KEY' }[name]} is not set`);
  return { settings, config, warnings };
}
