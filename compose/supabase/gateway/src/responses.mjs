const HEADERS = { 'content-type': 'application/json', 'access-control-allow-origin': '*', 'access-control-expose-headers': 'X-Total-Count, Link' };

export const json = (body, status = 200, headers = {}) => new Response(JSON.stringify(body), { status, headers: { ...HEADERS, ...headers } });

/** A neighbour is being started: in a moment it is worth another try. The code is PostgREST's, for the same. The connection ends with it: a body may be on its way that nobody reads. */
export const unavailable = (message) => json({ code: 'PGRST001', message, details: null, hint: null }, 503, { 'retry-after': '1', connection: 'close' });

/** Errors in the form of the Auth server (supabase-js reads `error_code` and `msg`). */
export const authError = (status, code, message) => json({ code: status, error_code: code, msg: message }, status, { 'x-sb-error-code': code });

export const preflight = (request) => new Response(null, {
  status: 204,
  headers: {
    'access-control-allow-origin': '*',
    'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE, OPTIONS, HEAD',
    'access-control-allow-headers': request.headers.get('access-control-request-headers') ?? 'authorization, apikey, content-type, x-client-info',
    'access-control-max-age': '86400',
  },
});
