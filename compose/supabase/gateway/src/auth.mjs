// /auth/v1 is @supabase/lite's; around it: anonymous sign-in, complete tokens, mail links with PKCE.
import { randomUUID } from 'node:crypto';
import { mailContext } from './mail.mjs';
import { authError, json } from './responses.mjs';

const METHODS = { '/auth/v1/verify': 'otp', '/auth/v1/callback': 'oauth', password: 'password', refresh_token: 'password', pkce: 'otp' };

export class Auth {
  constructor({ lite, sessions, sql, config }) {
    Object.assign(this, { lite, sessions, sql });
    // The stock config.toml says false; without a config.toml everything that can work does.
    this.anonymous = config.auth?.enable_anonymous_sign_ins ?? true;
    this.signup = config.auth?.enable_signup ?? true;
  }

  async fetch(request) {
    const url = new URL(request.url);
    if (request.method === 'GET' && url.pathname === '/auth/v1/verify') return this.verifyLink(request, url);
    if (!['POST', 'PUT'].includes(request.method)) return this.finish(await this.lite(request), url);

    const text = await request.text();
    let body = parse(text);
    if (url.pathname === '/auth/v1/signup' && !body.email && !body.phone && !body.password) return this.signInAnonymously(body);
    if (url.pathname === '/auth/v1/verify' && body.token_hash?.startsWith('pkce_')) body = { ...body, token_hash: body.token_hash.slice(5) };
    const context = {
      redirectTo: url.searchParams.get('redirect_to') ?? body.redirect_to,
      codeChallenge: body.code_challenge || undefined,
      codeChallengeMethod: body.code_challenge_method || undefined,
    };
    const forwarded = new Request(request.url, { method: request.method, headers: request.headers, body: text && JSON.stringify(body) });
    return mailContext.run(context, async () => this.finish(await this.lite(forwarded), url));
  }

  async signInAnonymously(body) {
    if (!this.signup) return authError(422, 'signup_disabled', 'Signups not allowed for this instance');
    if (!this.anonymous) return authError(422, 'anonymous_provider_disabled', 'Anonymous sign-ins are disabled');
    return json(await this.sessions.anonymous(body.data));
  }

  /** Complete the tokens of an answer, in its body or in the fragment of its redirect. */
  async finish(response, url) {
    const method = METHODS[url.pathname] ?? METHODS[url.searchParams.get('grant_type')] ?? 'password';
    const location = response.headers.get('location');
    if (location?.includes('#access_token=')) {
      const [target, fragment] = location.split('#');
      const parameters = new URLSearchParams(fragment);
      parameters.set('access_token', await this.sessions.enrich(parameters.get('access_token'), method));
      return redirect(response, `${target}#${parameters}`);
    }
    if (!response.ok || !response.headers.get('content-type')?.includes('json')) return response;
    const text = await response.text();
    const body = parse(text);
    if (!body.access_token) return new Response(text, response);
    body.access_token = await this.sessions.enrich(body.access_token, method);
    return new Response(JSON.stringify(body), { status: response.status, headers: without(response.headers, 'content-length') });
  }

  async verifyLink(request, url) {
    const token = url.searchParams.get('token') ?? '';
    if (!token.startsWith('pkce_')) return this.finish(await this.lite(request), url);
    url.searchParams.set('token', token.slice(5));
    const response = await this.lite(new Request(url, { headers: request.headers }));
    const [target, fragment] = (response.headers.get('location') ?? '').split('#');
    const claims = await this.sessions.keys.verify(new URLSearchParams(fragment).get('access_token') ?? '');
    if (!claims) return response;
    // Instead of the session that was just made the browser gets a code, which only the one that asked for the mail can exchange.
    const code = randomUUID();
    await this.sql`delete from auth.sessions where id = ${claims.session_id}`;
    await this.sql`
      update auth.flow_state set user_id = ${claims.sub}, auth_code = ${code}, auth_code_issued_at = now(), created_at = now(), updated_at = now(), invite_token = null
      where invite_token = ${token.slice(5)}`;
    const destination = new URL(target);
    destination.searchParams.set('code', code);
    return redirect(response, destination.href);
  }
}

function parse(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

function without(headers, name) {
  const result = new Headers(headers);
  result.delete(name);
  return result;
}

function redirect(response, location) {
  const headers = without(response.headers, 'content-length');
  headers.set('location', location);
  return new Response(null, { status: response.status, headers });
}
