// What the file server and its client both know: where an object lies, and what a range is.
import path from 'node:path';

/** Names are encoded, so that none leads out of its bucket. */
const encode = (part) => encodeURIComponent(part).replace(/^\.+$/, (dots) => '%2E'.repeat(dots.length));

/** Files end with a bare %, so that the objects `a` and `a/b` get along. */
export const filePath = (root, bucket, key) => `${path.join(root, encode(bucket), ...key.split('/').map(encode))}%`;

/** The path of an object at the file server. */
export const objectUrl = (bucket, key) => `/${[bucket, ...key.split('/')].map(encode).join('/')}`;

/** The other way: "/bucket/a/b" → ["bucket", "a/b"], or null if it names no object. */
export function parseObjectUrl(url) {
  const [, bucket, ...parts] = url.split('/');
  if (!bucket || !parts.length) return null;
  try {
    return [decodeURIComponent(bucket), parts.map(decodeURIComponent).join('/')];
  } catch {
    return null;
  }
}

/** "bytes=2-4", "bytes=5-", "bytes=-3" → first and last byte, or null */
export function parseRange(range, size) {
  const [, first, last] = range?.match(/^bytes=(\d*)-(\d*)$/) ?? [];
  if (first === undefined || (first === '' && last === '')) return null;
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  return start <= end ? { start, end } : null;
}
