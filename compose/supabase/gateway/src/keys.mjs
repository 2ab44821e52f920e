// Who is calling? Four keys are accepted: the publishable and the secret key, and the two older ones, which are tokens of the roles anon and service_role.
import { SignJWT, jwtVerify } from 'jose';

const HEADER = { alg: 'HS256', typ: 'JWT' };

/** The older keys, byte for byte as the Supabase CLI prints them: the order of the claims counts. */
export const legacyKey = (role, jwtSecret) =>
  new SignJWT({ iss: 'supabase-demo', role, exp: 1983812996 }).setProtectedHeader(HEADER).sign(new TextEncoder().encode(jwtSecret));

export const bearer = (headers) => headers.get('authorization')?.match(/^Bearer\s+(.+)$/i)?.[1] ?? '';

export class Keys {
  static async create(settings) {
    const keys = new Keys();
    keys.secret = new TextEncoder().encode(settings.jwtSecret);
    keys.anon = settings.anonKey ?? (await legacyKey('anon', settings.jwtSecret));
    keys.serviceRole = settings.serviceRoleKey ?? (await legacyKey('service_role', settings.jwtSecret));
    keys.roles = new Map([
      [settings.publishableKey, 'anon'],
      [keys.anon, 'anon'],
      [settings.secretKey, 'service_role'],
      [keys.serviceRole, 'service_role'],
    ]);
    return keys;
  }

  /** The role that a key stands for, or null. */
  role(key) {
    return this.roles.get(key) ?? null;
  }

  sign(claims) {
    return new SignJWT(claims).setProtectedHeader(HEADER).sign(this.secret);
  }

  /** The claims of a token that we signed and that has not expired, or null. */
  async verify(token) {
    try {
      return (await jwtVerify(token, this.secret, { algorithms: ['HS256'] })).payload;
    } catch {
      return null;
    }
  }

  /** What @supabase/lite asks for every request. */
  resolver = async (key) => {
    const role = this.role(key);
    return role && { type: role === 'anon' ? 'publishable' : 'secret', claims: { role } };
  };

  /**
   * supabase-js sends its key also as the bearer token as long as nobody is signed in, and curl users send it only there.
   * @supabase/lite takes a bearer for a user's token and wants the key in `apikey`.
   */
  normalise(headers) {
    const result = new Headers(headers);
    const token = bearer(result);
    if (this.role(token)) {
      if (!result.has('apikey')) result.set('apikey', token);
      result.delete('authorization');
    }
    return result;
  }

  /** May this request use the admin API? */
  async isService(request) {
    const token = bearer(request.headers);
    const key = request.headers.get('apikey');
    if (token && !this.role(token)) return this.role(key) !== null && (await this.verify(token))?.role === 'service_role';
    return this.role(token || key) === 'service_role';
  }
}
