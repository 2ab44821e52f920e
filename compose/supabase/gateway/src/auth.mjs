// /auth/v1 is @supabase/lite's. Around it: anonymous sign-in, complete tokens, the mail flows that it lacks (resend, repeated sign-up, PKCE, invitations), bans.
import { createHash, randomInt, randomUUID } from 'node:crypto';
import { milliseconds } from './config.mjs';
import { mailContext } from './mail.mjs';
import { authError, json } from './responses.mjs';
import { userResponse } from './sessions.mjs';

/** How a session began, for the claim `amr`. */
const METHODS = { '/auth/v1/verify': 'otp', '/auth/v1/callback': 'oauth', pkce: 'otp' };

/** The token of a mail is the SHA-256 of address and code. */
export const tokenHash = (email, code) => createHash('sha256').update(email.toLowerCase() + code).digest('hex');
export const newCode = (length) => String(randomInt(10 ** length)).padStart(length, '0');

export class Auth {
  constructor({ lite, sessions, sql, mailer, config }) {
    Object.assign(this, { lite, sessions, sql, mailer });
    const auth = config.auth ?? {};
    // The stock config.toml says false; without a config.toml everything that can work does.
    this.anonymous = auth.enable_anonymous_sign_ins ?? true;
    this.signup = auth.enable_signup ?? true;
    this.confirmations = auth.email?.enable_confirmations ?? false;
    this.codeLength = Number(auth.email?.otp_length) || 6;
    this.pauseBetweenMails = milliseconds(auth.email?.max_frequency ?? '1m');
  }

  async fetch(request) {
    const url = new URL(request.url);
    if (request.method === 'GET' && url.pathname === '/auth/v1/verify') return this.verifyLink(request, url);
    if (!['POST', 'PUT'].includes(request.method)) return this.finish(await this.lite(request), url);
    const text = await request.text();
    const body = parse(text);
    const context = {
      redirectTo: url.searchParams.get('redirect_to') ?? body.redirect_to ?? undefined,
      codeChallenge: body.code_challenge || undefined,
      codeChallengeMethod: body.code_challenge_method || undefined,
    };
    return mailContext.run(context, () => this.write(request, url, text, body));
  }

  async write(request, url, text, body) {
    const action = request.method === 'POST' ? url.pathname.slice('/auth/v1'.length) : '';
    if (action === '/resend' && ['signup', 'email_change'].includes(body.type)) return this.resend(body);
    if (action === '/signup') {
      if (!body.email && !body.phone && !body.password) return this.signInAnonymously(body);
      const repeated = this.signup && this.confirmations && body.email && body.password && (await this.repeatedSignUp(body));
      if (repeated) return repeated;
    }
    const changed = action === '/verify' ? await this.knownVerification(body) : body;
    const forwarded = new Request(request.url, { method: request.method, headers: request.headers, body: changed === body ? text : JSON.stringify(changed) });
    return this.finish(await this.lite(forwarded), url);
  }

  async signInAnonymously(body) {
    if (!this.signup) return authError(422, 'signup_disabled', 'Signups not allowed for this instance');
    if (!this.anonymous) return authError(422, 'anonymous_provider_disabled', 'Anonymous sign-ins are disabled');
    return json(await this.sessions.anonymous(body.data));
  }

  /** Whoever signs up again gets the mail again; whoever signs up with the address of a confirmed user learns nothing (a user without identities). */
  async repeatedSignUp({ email, data }) {
    const [user] = await this.sql`select * from auth.users where email = ${email.toLowerCase()}`;
    if (!user) return null;
    if (user.email_confirmed_at) {
      const now = new Date();
      return json({ ...userResponse({ id: randomUUID(), email, raw_app_meta_data: { provider: 'email', providers: ['email'] }, raw_user_meta_data: data, created_at: now, updated_at: now, is_anonymous: false }), identities: [], confirmation_sent_at: now });
    }
    const refused = await this.resend({ type: 'signup', email });
    if (!refused.ok) return refused;
    return json(userResponse(user, await this.sql`select * from auth.identities where user_id = ${user.id}`));
  }

  async resend({ type, email = '' }) {
    const [user] = await this.sql`select * from auth.users where email = ${email.toLowerCase()}`;
    const [sentAt, to] = type === 'signup' ? [user?.confirmation_sent_at, user?.email] : [user?.email_change_sent_at, user?.email_change];
    if (!to || (type === 'signup' && (user.email_confirmed_at || !sentAt))) return json({});
    const wait = sentAt ? new Date(sentAt).getTime() + this.pauseBetweenMails - Date.now() : 0;
    if (wait > 0) return authError(429, 'over_email_send_rate_limit', `For security purposes, you can only request this after ${Math.ceil(wait / 1000)} seconds.`);
    const code = newCode(this.codeLength);
    const hash = tokenHash(to, code);
    if (type === 'signup') {
      await this.sql`update auth.users set confirmation_token = ${hash}, confirmation_sent_at = now() where id = ${user.id}`;
      await this.mailer.sendConfirmation(to, hash, code, { userId: user.id });
    } else {
      await this.sql`update auth.users set email_change_token_new = ${hash}, email_change_sent_at = now() where id = ${user.id}`;
      await this.mailer.sendEmailChange(to, hash, code, { userId: user.id, currentEmail: user.email, newEmail: to });
    }
    return json({});
  }

  /** @supabase/lite knows neither the type `email`, which stands for both sign-up and sign-in, nor `invite`, which is a sign-up. */
  async knownVerification(body) {
    const token = body.token_hash?.replace(/^pkce_/, '');
    const changed = token === undefined ? body : { ...body, token_hash: token };
    if (!['email', 'invite'].includes(body.type)) return changed;
    const hash = token ?? tokenHash(body.email ?? '', body.token ?? '');
    return { ...changed, type: body.type === 'invite' ? 'signup' : await this.emailType(hash) };
  }

  async emailType(hash) {
    const found = await this.sql`select 1 from auth.users where confirmation_token = ${hash}`;
    return found.length ? 'signup' : 'magiclink';
  }

  async verifyLink(request, url) {
    const [token, type] = [url.searchParams.get('token') ?? '', url.searchParams.get('type')];
    const known = await this.knownVerification({ token_hash: token, type });
    const inner = new URL(url);
    inner.searchParams.set('token', known.token_hash);
    if (known.type) inner.searchParams.set('type', known.type);
    const response = await this.lite(new Request(inner, { headers: request.headers }));
    const { target, parameters } = fragmentOf(response);
    if (!parameters.has('access_token')) return response;
    parameters.set('type', type);
    if (!token.startsWith('pkce_')) return this.finish(redirect(response, `${target}#${parameters}`), url);

    // Instead of the session that was just made the browser gets a code, which only the one that asked for the mail can exchange.
    const claims = await this.sessions.keys.verify(parameters.get('access_token'));
    const code = randomUUID();
    await this.sql`delete from auth.sessions where id = ${claims.session_id}`;
    await this.sql`
      update auth.flow_state set user_id = ${claims.sub}, auth_code = ${code}, auth_code_issued_at = now(), created_at = now(), updated_at = now(), invite_token = null
      where invite_token = ${known.token_hash}`;
    const destination = new URL(target);
    destination.searchParams.set('code', code);
    return redirect(response, destination.href);
  }

  /** Complete the tokens and the user of an answer, in its body or in the fragment of its redirect. */
  async finish(response, url) {
    const method = METHODS[url.pathname] ?? METHODS[url.searchParams.get('grant_type')] ?? 'password';
    const { target, parameters } = fragmentOf(response);
    if (parameters.has('access_token')) {
      const { token, banned } = await this.sessions.enrich(parameters.get('access_token'), method);
      if (banned) return redirect(response, `${target}#${new URLSearchParams({ error: 'access_denied', error_code: 'user_banned', error_description: 'User is banned' })}`);
      parameters.set('access_token', token);
      return redirect(response, `${target}#${parameters}`);
    }
    if (!response.ok || !response.headers.get('content-type')?.includes('json')) return response;
    const text = await response.text();
    const body = parse(text);
    const user = body.user ?? body;
    if (!user.id || !user.aud) return new Response(text, response);
    if (body.access_token) {
      const { token, banned } = await this.sessions.enrich(body.access_token, method);
      if (banned) return authError(400, 'user_banned', 'User is banned');
      body.access_token = token;
    }
    const [row] = await this.sql`select is_anonymous from auth.users where id = ${user.id}`;
    if (row) user.is_anonymous = row.is_anonymous;
    return new Response(JSON.stringify(body), { status: response.status, headers: without(response.headers, 'content-length') });
  }
}

function fragmentOf(response) {
  const [target, fragment] = (response.headers.get('location') ?? '').split('#');
  return { target, parameters: new URLSearchParams(fragment) };
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
