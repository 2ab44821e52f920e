// The table editor, SQL editor and user list that come with @supabase/lite, on a port of their own: requests to it count as local and need no key.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const FILES = path.join(path.dirname(fileURLToPath(import.meta.resolve('@supabase/lite'))), 'static');
const TYPES = { '.js': 'text/javascript', '.css': 'text/css', '.woff2': 'font/woff2', '.ico': 'image/x-icon', '.svg': 'image/svg+xml' };

export const studio = (app) => async (request) => {
  const { pathname } = new URL(request.url);
  if (!pathname.startsWith('/static/')) return app.fetch(request, { peerAddress: '127.0.0.1' });
  const file = path.join(FILES, path.normalize(decodeURIComponent(pathname.slice('/static'.length))));
  if (!file.startsWith(FILES)) return new Response(null, { status: 404 });
  try {
    return new Response(await readFile(file), { headers: { 'content-type': TYPES[path.extname(file)] ?? 'application/octet-stream', 'cache-control': 'public, max-age=86400' } });
  } catch {
    return new Response(null, { status: 404 });
  }
};
