// Tokens: signed by the stack (HS256), or one of its four keys.
const encoder = new TextEncoder();
const base64url = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const fromBase64url = (text) => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0));
const importKey = (secret) => crypto.subtle.importKey('raw', encoder.encode(secret), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify']);

/** The keys anon and service_role as the Supabase CLI prints them: the order of the claims counts. */
export async function legacyKey(role, secret) {
  const part = (value) => base64url(encoder.encode(JSON.stringify(value)));
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ iss: 'supabase-demo', role, exp: 1983812996 })}`;
  return `${signed}.${base64url(new Uint8Array(await crypto.subtle.sign('HMAC', await importKey(secret), encoder.encode(signed))))}`;
}

export async function isValidToken(token, secret) {
  const [header, payload, signature] = token.split('.');
  if (!signature) return false;
  try {
    if (JSON.parse(new TextDecoder().decode(fromBase64url(header))).alg !== 'HS256') return false;
    if (!(await crypto.subtle.verify('HMAC', await importKey(secret), fromBase64url(signature), encoder.encode(`${header}.${payload}`)))) return false;
    const { exp } = JSON.parse(new TextDecoder().decode(fromBase64url(payload)));
    return !exp || exp * 1000 > Date.now();
  } catch {
    return false;
  }
}
