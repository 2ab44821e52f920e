// The table editor, SQL editor and user list that come with @supabase/lite, on a port of their own: requests to it count as local and need no key.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { isLoopbackHostname } from '@supabase/lite';
import { json } from './responses.mjs';

const FILES = path.join(path.dirname(fileURLToPath(import.meta.resolve('@supabase/lite'))), 'static');
const TYPES = { '.js': 'text/javascript', '.css': 'text/css', '.woff2': 'font/woff2', '.ico': 'image/x-icon', '.svg': 'image/svg+xml' };

/** `fetch` answers as @supabase/lite does. */
export const studio = (fetch) => async (request) => {
  const { hostname, pathname } = new URL(request.url);
  // A page elsewhere must not get here by a name of its own that leads to this machine.
  if (!isLoopbackHostname(hostname) && !hostname.endsWith('.localhost')) return json({ message: `the studio is for this machine only, not for ${hostname}` }, 403);
  if (!pathname.startsWith('/static/')) return fetch(asLocalhost(request));
  const file = path.join(FILES, path.normalize(decodeURIComponent(pathname.slice('/static'.length))));
  if (!file.startsWith(FILES)) return new Response(null, { status: 404 });
  try {
    return new Response(await readFile(file), { headers: { 'content-type': TYPES[path.extname(file)] ?? 'application/octet-stream', 'cache-control': 'public, max-age=86400' } });
  } catch {
    return new Response(null, { status: 404 });
  }
};

/** Names below .localhost lead to this machine by definition, but @supabase/lite does not know. */
function asLocalhost(request) {
  const url = new URL(request.url);
  if (!url.hostname.endsWith('.localhost')) return request;
  const headers = new Headers(request.headers);
  headers.set('host', 'localhost');
  if (headers.get('origin') === url.origin) headers.delete('origin');
  url.host = 'localhost';
  return new Request(url, { method: request.method, headers, body: request.body, duplex: 'half' });
}
