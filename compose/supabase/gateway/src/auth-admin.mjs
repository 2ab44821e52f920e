// /auth/v1/admin: what supabase.auth.admin and server code use. @supabase/lite has none of it.
import { randomUUID } from 'node:crypto';
import bcrypt from 'bcryptjs';
import { newCode, tokenHash } from './auth.mjs';
import { milliseconds } from './config.mjs';
import { mailContext, verifyLink } from './mail.mjs';
import { authError, json } from './responses.mjs';
import { userResponse } from './sessions.mjs';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const LINK_TYPES = { signup: 'confirmation_token', invite: 'confirmation_token', magiclink: 'recovery_token', recovery: 'recovery_token' };

export class AuthAdmin {
  constructor({ sql, keys, settings, config, mailer }) {
    Object.assign(this, { sql, keys, mailer });
    this.externalUrl = settings.externalUrl;
    this.siteUrl = config.auth?.site_url || 'http://127.0.0.1:3000';
    this.codeLength = Number(config.auth?.email?.otp_length) || 6;
  }

  /** An answer, or null if the path is not ours. */
  async fetch(request) {
    const url = new URL(request.url);
    const [, resource, id, ...rest] = url.pathname.match(/^\/auth\/v1\/(?:admin\/)?([a-z_]+)(?:\/([^/]+))?(\/.*)?$/) ?? [];
    const isAdmin = url.pathname.startsWith('/auth/v1/admin/');
    if (!isAdmin && resource !== 'invite') return null;
    if (!(await this.keys.isService(request))) return authError(403, 'not_admin', 'User not allowed');
    const body = ['POST', 'PUT', 'DELETE'].includes(request.method) ? await request.json().catch(() => ({})) : {};
    try {
      if (resource === 'invite' && request.method === 'POST') return json(await this.invite(body, url.searchParams.get('redirect_to')));
      if (resource === 'generate_link' && request.method === 'POST') return json(await this.generateLink(body, body.redirect_to ?? url.searchParams.get('redirect_to')));
      if (resource === 'users' && !rest[0]) return await this.users(request.method, id, body, url.searchParams);
      if (resource === 'users' && rest[0] === '/factors') return json([]);
    } catch (error) {
      if (error.code === '23505') return authError(422, 'email_exists', 'A user with this email address has already been registered');
      if (error.status) return authError(error.status, error.errorCode, error.message);
      throw error;
    }
    return authError(501, 'not_implemented', `${request.method} ${url.pathname} is not part of this stack`);
  }

  async users(method, id, body, query) {
    if (!id && method === 'GET') return this.list(query);
    if (!id && method === 'POST') return json(await this.create(body));
    if (!UUID.test(id ?? '')) return authError(404, 'validation_failed', 'user_id must be an UUID');
    if (method === 'GET') return json(await this.read(id));
    if (method === 'PUT') return json(await this.update(id, body));
    if (method === 'DELETE') return json(await this.remove(id, body.should_soft_delete));
    return authError(405, 'method_not_allowed', method);
  }

  async list(query) {
    const perPage = Math.min(Number(query.get('per_page')) || 50, 1000);
    const page = Number(query.get('page')) || 1;
    const [{ total }] = await this.sql`select count(*)::int as total from auth.users`;
    const rows = await this.sql`select * from auth.users order by created_at desc, id limit ${perPage} offset ${(page - 1) * perPage}`;
    const identities = await this.sql`select * from auth.identities where user_id in ${this.sql(rows.length ? rows.map((row) => row.id) : [randomUUID()])}`;
    const last = Math.max(1, Math.ceil(total / perPage));
    const link = [[page + 1, 'next'], [last, 'last']].filter(([number]) => number <= last).map(([number, rel]) => `</admin/users?page=${number}&per_page=${perPage}>; rel="${rel}"`);
    return json(
      { users: rows.map((row) => userResponse(row, identities.filter((identity) => identity.user_id === row.id))), aud: 'authenticated' },
      200,
      { 'x-total-count': String(total), link: link.join(', ') },
    );
  }

  async read(id) {
    const [row] = await this.sql`select * from auth.users where id = ${id}`;
    if (!row) throw failure(404, 'user_not_found', 'User not found');
    return userResponse(row, await this.sql`select * from auth.identities where user_id = ${id}`);
  }

  async create(body) {
    if (!body.email && !body.phone) throw failure(400, 'validation_failed', 'Cannot create a user without either an email or phone');
    const id = body.id ?? randomUUID();
    const email = body.email?.toLowerCase() ?? null;
    const password = await hash(body);
    await this.sql.begin(async (sql) => {
      await sql`
        insert into auth.users (id, aud, role, email, phone, encrypted_password, email_confirmed_at, phone_confirmed_at, banned_until, raw_app_meta_data, raw_user_meta_data, created_at, updated_at)
        values (${id}, 'authenticated', ${body.role || 'authenticated'}, ${email}, ${body.phone ?? null}, ${password}, ${body.email_confirm ? sql`now()` : null}, ${body.phone_confirm ? sql`now()` : null},
          ${bannedUntil(body)}, ${sql.json({ provider: email ? 'email' : 'phone', providers: [email ? 'email' : 'phone'], ...body.app_metadata })}, ${sql.json(body.user_metadata ?? {})}, now(), now())`;
      if (email) await insertIdentity(sql, id, email, Boolean(body.email_confirm));
    });
    return this.read(id);
  }

  async update(id, body) {
    await this.read(id);
    const password = await hash(body);
    const email = body.email?.toLowerCase();
    await this.sql.begin(async (sql) => {
      await sql`
        update auth.users set
          email = coalesce(${email ?? null}, email), phone = coalesce(${body.phone ?? null}, phone), role = coalesce(${body.role || null}, role),
          encrypted_password = coalesce(${password}, encrypted_password),
          email_confirmed_at = case when ${Boolean(body.email_confirm)} then coalesce(email_confirmed_at, now()) else email_confirmed_at end,
          banned_until = case when ${body.ban_duration !== undefined} then ${bannedUntil(body)}::timestamptz else banned_until end,
          raw_user_meta_data = jsonb_strip_nulls(coalesce(raw_user_meta_data, '{}') || ${sql.json(body.user_metadata ?? {})}),
          raw_app_meta_data = jsonb_strip_nulls(coalesce(raw_app_meta_data, '{}') || ${sql.json(body.app_metadata ?? {})}), updated_at = now()
        where id = ${id}`;
      if (email) {
        await sql`delete from auth.identities where user_id = ${id} and provider = 'email'`;
        await insertIdentity(sql, id, email, Boolean(body.email_confirm));
      }
    });
    return this.read(id);
  }

  async remove(id, soft) {
    const user = await this.read(id);
    if (soft) {
      await this.sql`update auth.users set deleted_at = now(), email = md5(coalesce(email, '')), encrypted_password = null, raw_user_meta_data = '{}', updated_at = now() where id = ${id}`;
      await this.sql`delete from auth.sessions where user_id = ${id}`;
    } else await this.sql`delete from auth.users where id = ${id}`;
    return user;
  }

  async generateLink(body, redirectTo) {
    const column = LINK_TYPES[body.type];
    if (!column) throw failure(400, 'validation_failed', `link type ${body.type} is not part of this stack`);
    const email = body.email?.toLowerCase();
    if (!email) throw failure(400, 'validation_failed', 'email is required');
    let [row] = await this.sql`select * from auth.users where email = ${email}`;
    if (row && body.type === 'signup' && row.email_confirmed_at) throw failure(422, 'email_exists', 'A user with this email address has already been registered');
    if (!row && body.type === 'recovery') throw failure(404, 'user_not_found', 'User with this email not found');
    const id = row?.id ?? (await this.create({ ...body, email, user_metadata: body.data })).id;
    const code = newCode(this.codeLength);
    const token = tokenHash(email, code);
    const sentAt = column.replace('token', 'sent_at');
    await this.sql`update auth.users set ${this.sql(column)} = ${token}, ${this.sql(sentAt)} = now(), updated_at = now() ${body.type === 'invite' ? this.sql`, invited_at = now()` : this.sql``} where id = ${id}`;
    [row] = await this.sql`select * from auth.users where id = ${id}`;
    const redirect_to = redirectTo || this.siteUrl;
    return { ...userResponse(row), action_link: verifyLink(this.externalUrl, { token, type: body.type, redirectTo: redirect_to }), email_otp: code, hashed_token: token, verification_type: body.type, redirect_to };
  }

  async invite(body, redirectTo) {
    const { action_link, email_otp: code, hashed_token: token, verification_type, redirect_to, ...user } = await this.generateLink({ type: 'invite', email: body.email, data: body.data }, redirectTo);
    await mailContext.run({ redirectTo: redirect_to }, () => this.mailer.sendInvite(user.email, token, code, { userId: user.id }));
    return user;
  }
}

const insertIdentity = (sql, userId, email, verified) => sql`
  insert into auth.identities (id, provider_id, user_id, identity_data, provider, created_at, updated_at)
  values (${randomUUID()}, ${userId}, ${userId}, ${sql.json({ sub: userId, email, email_verified: verified, phone_verified: false })}, 'email', now(), now())`;

async function hash(body) {
  if (body.password_hash) return body.password_hash;
  return body.password ? bcrypt.hash(body.password, 10) : null;
}

/** "none" or a duration ("24h") → when the ban ends */
export const bannedUntil = ({ ban_duration: duration }, now = Date.now()) => (milliseconds(duration) ? new Date(now + milliseconds(duration)) : null);

const failure = (status, errorCode, message) => Object.assign(new Error(message), { status, errorCode });
