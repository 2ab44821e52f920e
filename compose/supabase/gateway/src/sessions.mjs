// Sessions and their tokens. @supabase/lite signs tokens with the bare minimum; policies also read app_metadata, user_metadata and is_anonymous from auth.jwt().
import { randomBytes, randomUUID } from 'node:crypto';

const seconds = () => Math.floor(Date.now() / 1000);

/** A row of auth.users as the Auth server answers it. */
export function userResponse(row, identities = []) {
  return {
    id: row.id,
    aud: row.aud ?? 'authenticated',
    role: row.role ?? 'authenticated',
    email: row.email ?? '',
    phone: row.phone ?? '',
    email_confirmed_at: row.email_confirmed_at ?? undefined,
    confirmed_at: row.confirmed_at ?? undefined,
    invited_at: row.invited_at ?? undefined,
    last_sign_in_at: row.last_sign_in_at ?? undefined,
    banned_until: row.banned_until ?? undefined,
    app_metadata: row.raw_app_meta_data ?? {},
    user_metadata: row.raw_user_meta_data ?? {},
    identities: identities.map((identity) => ({ identity_id: identity.id, ...identity, id: identity.provider_id })),
    created_at: row.created_at,
    updated_at: row.updated_at,
    is_anonymous: row.is_anonymous,
  };
}

export class Sessions {
  constructor({ sql, keys, settings, config }) {
    this.sql = sql;
    this.keys = keys;
    this.issuer = `${settings.externalUrl}/auth/v1`;
    this.lifetime = Number(config.auth?.jwt_expiry) || 3600;
    this.hook = hookFunction(config.auth?.hook?.custom_access_token);
  }

  async token(user, sessionId, method) {
    const now = seconds();
    const claims = {
      iss: this.issuer,
      sub: user.id,
      aud: user.aud ?? 'authenticated',
      exp: now + this.lifetime,
      iat: now,
      email: user.email ?? '',
      phone: user.phone ?? '',
      app_metadata: user.raw_app_meta_data ?? {},
      user_metadata: user.raw_user_meta_data ?? {},
      role: user.role ?? 'authenticated',
      aal: 'aal1',
      amr: [{ method, timestamp: now }],
      session_id: sessionId,
      is_anonymous: user.is_anonymous,
    };
    return this.keys.sign(await this.customise(user.id, claims, method));
  }

  /** [auth.hook.custom_access_token]: a function in the database may add claims. */
  async customise(userId, claims, method) {
    if (!this.hook) return claims;
    try {
      const [{ answer }] = await this.sql`select ${this.sql(this.hook)}(${this.sql.json({ user_id: userId, claims, authentication_method: method })}::jsonb) as answer`;
      return answer?.claims ?? claims;
    } catch (error) {
      console.error(`auth.hook.custom_access_token: ${error.message}`);
      return claims;
    }
  }

  /** The same token with all claims; how the session began is remembered in its tag, so that a refreshed token says it too. A banned user's session ends here. */
  async enrich(accessToken, method) {
    const claims = await this.keys.verify(accessToken);
    if (!claims?.session_id) return { token: accessToken };
    const [user] = await this.sql`select *, banned_until > now() as banned from auth.users where id = ${claims.sub}`;
    if (user?.banned) {
      await this.sql`delete from auth.sessions where id = ${claims.session_id}`;
      return { banned: true };
    }
    const [session] = await this.sql`update auth.sessions set tag = coalesce(tag, ${method}) where id = ${claims.session_id} returning tag`;
    return { token: user && session ? await this.token(user, claims.session_id, session.tag) : accessToken };
  }

  async create(user, method) {
    const sessionId = randomUUID();
    const refreshToken = randomBytes(9).toString('base64url');
    const [updated] = await this.sql.begin(async (sql) => {
      await sql`insert into auth.sessions (id, user_id, aal, tag, created_at, updated_at) values (${sessionId}, ${user.id}, 'aal1', ${method}, now(), now())`;
      await sql`insert into auth.refresh_tokens (id, token, user_id, session_id, revoked) values (${randomUUID()}, ${refreshToken}, ${user.id}, ${sessionId}, false)`;
      return sql`update auth.users set last_sign_in_at = now() where id = ${user.id} returning *`;
    });
    return {
      access_token: await this.token(updated, sessionId, method),
      token_type: 'bearer',
      expires_in: this.lifetime,
      expires_at: seconds() + this.lifetime,
      refresh_token: refreshToken,
      user: userResponse(updated),
    };
  }

  async anonymous(userMetadata) {
    const [user] = await this.sql`
      insert into auth.users (id, aud, role, is_anonymous, raw_app_meta_data, raw_user_meta_data, created_at, updated_at)
      values (${randomUUID()}, 'authenticated', 'authenticated', true, '{}', ${this.sql.json(userMetadata ?? {})}, now(), now()) returning *`;
    return this.create(user, 'anonymous');
  }
}

/** "pg-functions://postgres/public/name" → "public.name" */
export function hookFunction(hook) {
  const [, schema, name] = (hook?.enabled && hook.uri?.match(/^pg-functions:\/\/[^/]+\/([^/]+)\/([^/]+)$/)) || [];
  return name ? `${schema}.${name}` : null;
}
