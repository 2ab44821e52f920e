// Stored objects, as @supabase/lite wants them: the bytes are with the service `storage`; what is known about an object (type, size, tag) comes from storage.objects, so that it is
// what was uploaded.
import { AsyncLocalStorage } from 'node:async_hooks';
import http from 'node:http';
import { Readable } from 'node:stream';
import { json, text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { dial } from '../../shared/connections.mjs';
import { objectUrl } from './object-paths.mjs';

const PATIENCE_MS = 2000;
const RETRY_MS = 20;

/** What a request of a user meets: { away } once `storage` did not answer. @supabase/lite tells of every error alike. */
export const storeContext = new AsyncLocalStorage();

const agent = new http.Agent({ keepAlive: true });
agent.createConnection = ({ host, port }) => dial(host, port);

export class ObjectStore {
  constructor({ url, sql, patience = PATIENCE_MS }) {
    Object.assign(this, { url, sql, patience });
    const { hostname, port } = new URL(url);
    this.server = { host: hostname, port, agent };
  }

  async has(bucket, key) {
    return this.#ask('HEAD', bucket, key).then(() => true, (error) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    });
  }

  async getObject(bucket, key, _version, { ifNoneMatch, ifModifiedSince, range } = {}) {
    const response = await this.#ask('GET', bucket, key, { headers: range ? { range } : {} });
    try {
      const metadata = await this.#metadata(bucket, key, response);
      if (ifNoneMatch === metadata.eTag || (ifModifiedSince && metadata.lastModified <= new Date(ifModifiedSince))) {
        response.destroy();
        return { httpStatusCode: 304, metadata };
      }
      return { httpStatusCode: response.statusCode, metadata, body: Readable.toWeb(response) };
    } catch (error) {
      response.destroy();
      throw error;
    }
  }

  async uploadObject(bucket, key, _version, body, mimetype, cacheControl) {
    const response = await this.#ask('PUT', bucket, key, { body: body instanceof Uint8Array ? [body] : body });
    const { size, modified, md5 } = await json(response);
    return { cacheControl, contentLength: size, size, mimetype, lastModified: new Date(modified), eTag: `"${md5}"` };
  }

  async deleteObject(bucket, key) {
    await this.#ask('DELETE', bucket, key);
  }

  async deleteObjects(bucket, keys) {
    for (const key of keys) await this.deleteObject(bucket, key);
  }

  async copyObject(bucket, key, _version, toBucket, toKey) {
    const { modified } = await json(await this.#ask('COPY', bucket, key, { headers: { destination: objectUrl(toBucket, toKey) } }));
    const { eTag } = await this.headObject(bucket, key);
    return { httpStatusCode: 200, eTag, lastModified: new Date(modified) };
  }

  async headObject(bucket, key) {
    return this.#metadata(bucket, key, await this.#ask('HEAD', bucket, key));
  }

  async privateAssetUrl(bucket, key) {
    return new URL(objectUrl(bucket, key), this.url).href;
  }

  async #metadata(bucket, key, { headers }) {
    const contentLength = Number(headers['content-length']);
    const contentRange = headers['content-range'];
    const size = contentRange ? Number(contentRange.split('/')[1]) : contentLength;
    const lastModified = new Date(headers['last-modified']);
    const [row] = await this.sql`select metadata from storage.objects where bucket_id = ${bucket} and name = ${key}`;
    const known = typeof row?.metadata === 'string' ? JSON.parse(row.metadata) : (row?.metadata ?? {});
    return {
      size, contentLength, lastModified, mimetype: known.mimetype ?? 'application/octet-stream', cacheControl: known.cacheControl ?? 'no-cache',
      eTag: known.eTag ?? `"${size}-${lastModified.getTime()}"`, ...(contentRange && { contentRange }),
    };
  }

  /** A good answer. While `storage` starts again the request is repeated: nothing of a body is read before the server asks for it. */
  async #ask(method, bucket, key, { headers = {}, body } = {}) {
    const request = { ...this.server, method, path: objectUrl(bucket, key), headers };
    const until = Date.now() + this.patience;
    for (;;) {
      try {
        const response = await good(await send(request, body));
        return ['HEAD', 'DELETE'].includes(method) ? response.resume() : response;
      } catch (error) {
        if (error.status) throw error;
        if (error.begun || Date.now() > until) {
          const context = storeContext.getStore();
          if (context) context.away = true;
          throw new Error(`storage does not answer (${error.code ?? error.message})`, { cause: error });
        }
        await pause(RETRY_MS);
      }
    }
  }
}

/** The answer; an error says whether something of the body was sent. */
function send(request, body) {
  return new Promise((resolve, reject) => {
    let begun = false;
    const fail = (error) => reject(Object.assign(error, { begun }));
    const outgoing = http.request(body ? { ...request, headers: { ...request.headers, expect: '100-continue' } } : request);
    outgoing.on('response', resolve).on('error', fail);
    if (!body) return outgoing.end();
    outgoing.on('continue', () => {
      begun = true;
      pipeline(body, outgoing).catch(fail);
    });
    return outgoing.flushHeaders();
  });
}

async function good(response) {
  const { statusCode: status } = response;
  if (status < 400) return response;
  const message = await text(response);
  throw Object.assign(new Error(`storage: ${status} ${message}`), { status, ...(status === 404 && { code: 'ENOENT' }) });
}
