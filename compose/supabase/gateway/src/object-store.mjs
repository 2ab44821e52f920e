// Where stored objects lie: files in the volume `storage`. What is known about an object (type, size, tag) comes from storage.objects, so that it is what was uploaded.
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { copyFile, mkdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** Names are encoded, so that none leads out of its bucket; files end with a bare %, so that the objects `a` and `a/b` get along. */
export function filePath(root, bucket, key) {
  const encode = (part) => encodeURIComponent(part).replace(/^\.+$/, (dots) => '%2E'.repeat(dots.length));
  return `${path.join(root, encode(bucket), ...key.split('/').map(encode))}%`;
}

/** "bytes=2-4", "bytes=5-", "bytes=-3" → first and last byte, or null */
export function parseRange(range, size) {
  const [, first, last] = range?.match(/^bytes=(\d*)-(\d*)$/) ?? [];
  if (first === undefined || (first === '' && last === '')) return null;
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  return start <= end ? { start, end } : null;
}

export class ObjectStore {
  constructor({ root, sql }) {
    Object.assign(this, { root, sql });
  }

  async has(bucket, key) {
    return stat(filePath(this.root, bucket, key)).then(() => true, () => false);
  }

  async getObject(bucket, key, _version, { ifNoneMatch, ifModifiedSince, range } = {}) {
    const metadata = await this.headObject(bucket, key);
    if (ifNoneMatch === metadata.eTag || (ifModifiedSince && metadata.lastModified <= new Date(ifModifiedSince))) return { httpStatusCode: 304, metadata };
    const part = parseRange(range, metadata.size);
    const body = Readable.toWeb(createReadStream(filePath(this.root, bucket, key), part ?? {}));
    if (!part) return { httpStatusCode: 200, metadata, body };
    return { httpStatusCode: 206, metadata: { ...metadata, contentLength: part.end - part.start + 1, contentRange: `bytes ${part.start}-${part.end}/${metadata.size}` }, body };
  }

  async uploadObject(bucket, key, _version, body, mimetype, cacheControl) {
    const file = filePath(this.root, bucket, key);
    const temporary = path.join(this.root, `.upload-${randomUUID()}`);
    const hash = createHash('md5');
    await mkdir(path.dirname(file), { recursive: true });
    const hashing = new Transform({ transform: (chunk, _, done) => (hash.update(chunk), done(null, chunk)) });
    try {
      await pipeline(body instanceof Uint8Array ? Readable.from([body]) : Readable.from(body), hashing, createWriteStream(temporary));
      await rename(temporary, file);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    const { size, mtime } = await stat(file);
    return { cacheControl, contentLength: size, size, mimetype, lastModified: mtime, eTag: `"${hash.digest('hex')}"` };
  }

  async deleteObject(bucket, key) {
    await rm(filePath(this.root, bucket, key), { force: true });
  }

  async deleteObjects(bucket, keys) {
    for (const key of keys) await this.deleteObject(bucket, key);
  }

  async copyObject(bucket, key, _version, toBucket, toKey) {
    const to = filePath(this.root, toBucket, toKey);
    await mkdir(path.dirname(to), { recursive: true });
    await copyFile(filePath(this.root, bucket, key), to);
    const { eTag } = await this.headObject(bucket, key);
    return { httpStatusCode: 200, eTag, lastModified: (await stat(to)).mtime };
  }

  async headObject(bucket, key) {
    const { size, mtime } = await stat(filePath(this.root, bucket, key));
    const [row] = await this.sql`select metadata from storage.objects where bucket_id = ${bucket} and name = ${key}`;
    const known = typeof row?.metadata === 'string' ? JSON.parse(row.metadata) : (row?.metadata ?? {});
    return {
      size, contentLength: size, lastModified: mtime, mimetype: known.mimetype ?? 'application/octet-stream', cacheControl: known.cacheControl ?? 'no-cache',
      eTag: known.eTag ?? `"${size}-${mtime.getTime()}"`,
    };
  }

  async privateAssetUrl(bucket, key) {
    return `file://${filePath(this.root, bucket, key)}`;
  }
}
