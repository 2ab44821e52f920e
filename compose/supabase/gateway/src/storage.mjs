// /storage/v1 is @supabase/lite's; requests and answers are brought into the form that storage-js speaks. The functions are pure; the tests run them without a stack.
import { bytes } from './config.mjs';
import { parseRange } from './object-paths.mjs';
import { storeContext } from './object-store.mjs';
import { json, unavailable } from './responses.mjs';

const PREFIX = '/storage/v1';

/** Paths that only the official server has: images are served as they are, `authenticated` is what everything but `public` is. */
export const plainPath = (path) => path.replace(/^\/storage\/v1\/render\/image\//, `${PREFIX}/object/`).replace(/^(\/storage\/v1\/object\/(?:info\/)?)authenticated\//, '$1')
  .replace(/^(\/storage\/v1\/object\/info\/)public\//, '$1');

/** What a request is about. */
export function route(method, path) {
  const rest = path.slice(PREFIX.length);
  if (rest.startsWith('/object/upload/sign/')) return method === 'POST' ? 'sign-upload' : method === 'PUT' ? 'signed-upload' : 'other';
  if (method === 'POST' && /^\/object\/sign\/[^/]+\/?$/.test(rest)) return 'sign-many';
  if (method === 'POST' && rest.startsWith('/object/sign/')) return 'sign';
  if (method === 'POST' && rest.startsWith('/object/list/')) return 'list';
  if (['POST', 'PUT'].includes(method) && /^\/bucket(\/[^/]+)?$/.test(rest)) return 'bucket';
  if (method === 'GET' && rest.startsWith('/object/info/')) return 'info';
  if (method === 'GET' && rest.startsWith('/object/')) return 'download';
  return 'other';
}

/** storage-js puts the file into a field without a name; @supabase/lite looks for one called `file`. */
export function nameFileField(form) {
  const result = new FormData();
  for (const [name, value] of form) result.append(name === '' ? 'file' : name, value);
  return result;
}

const relative = (url) => url?.replace(/^https?:\/\/[^/]+/, '').replace(/^\/storage\/v1/, '');
export const signedAnswer = (answer) => ({ ...answer, signedURL: relative(answer.signedURL ?? answer.signedUrl) });
export const signedUploadAnswer = (answer) => ({ ...answer, url: relative(answer.url ?? answer.signedURL ?? answer.signedUrl) });

/** A row of storage.objects → what info() answers. */
export function infoAnswer({ id, name, version, bucket_id, metadata, user_metadata, created_at }) {
  const known = typeof metadata === 'string' ? JSON.parse(metadata) : (metadata ?? {});
  return {
    id, name, version, bucket_id, size: known.size, content_type: known.mimetype, cache_control: known.cacheControl, etag: known.eTag, metadata: user_metadata ?? {},
    last_modified: known.lastModified, created_at,
  };
}

/** Full paths of all objects below a prefix → the names in that one folder, folders as entries without an id. */
export function listAnswer(objects, prefix = '') {
  const folder = prefix && !prefix.endsWith('/') ? `${prefix}/` : prefix;
  const folders = new Set();
  return objects.flatMap((object) => {
    const name = object.name.startsWith(folder) ? object.name.slice(folder.length) : object.name;
    const slash = name.indexOf('/');
    if (slash <= 0) return [{ ...object, name, metadata: typeof object.metadata === 'string' ? JSON.parse(object.metadata) : object.metadata }];
    const subfolder = name.slice(0, slash);
    if (folders.has(subfolder)) return [];
    folders.add(subfolder);
    return [{ name: subfolder, id: null, updated_at: null, created_at: null, last_accessed_at: null, metadata: null }];
  });
}

/** Limits may be written "50MB"; @supabase/lite takes numbers only. */
export function bucketRequest({ file_size_limit: limit, allowed_mime_types: types, ...rest }) {
  return { ...rest, ...(bytes(limit) !== null && { file_size_limit: bytes(limit) }), ...(types && { allowed_mime_types: types }) };
}

/** ?download, ?download=name.txt → how a browser should save it */
export function disposition(path, download) {
  const name = download || decodeURIComponent(path.split('/').at(-1));
  return `attachment; filename="${name.replace(/[^\x20-\x7e]|["\\]/g, '_')}"; filename*=UTF-8''${encodeURIComponent(name)}`;
}

/** storage-js reads the code of an error, which @supabase/lite does not give. */
const CODES = { 'Object not found': 'NoSuchKey', 'Bucket not found': 'NoSuchBucket', 'The resource already exists': 'ResourceAlreadyExists' };
export const withCode = (error) => (CODES[error?.message] && !error.code ? { ...error, code: CODES[error.message] } : error);

/** The bytes of a stream from `start` to `end`, both included. */
export function slice(stream, { start, end }) {
  let position = 0;
  return stream.pipeThrough(new TransformStream({
    transform(chunk, controller) {
      const from = Math.max(0, start - position);
      const to = Math.min(chunk.length, end + 1 - position);
      if (from < to) controller.enqueue(chunk.subarray(from, to));
      position += chunk.length;
      if (position > end) controller.terminate();
    },
  }));
}

export class Storage {
  constructor({ lite }) {
    this.lite = lite;
  }

  async fetch(request) {
    const context = {};
    const response = await storeContext.run(context, () => this.#fetch(request));
    return context.away && response.status >= 500 ? unavailable('the service `storage` does not answer') : response;
  }

  async #fetch(request) {
    const { method } = request;
    const url = new URL(request.url);
    url.pathname = plainPath(url.pathname);
    const kind = route(method, url.pathname);
    const headers = new Headers(request.headers);
    const send = (body) => {
      if (body !== request.body) headers.delete('content-length');
      return this.lite(new Request(url, { method, headers, body, duplex: 'half' }));
    };
    if (kind === 'sign-many') return this.signMany(url, headers, await request.json());
    if (kind === 'bucket') return send(JSON.stringify(bucketRequest(await request.json())));
    if (kind === 'list') {
      const body = await request.text();
      return this.answer(await send(body), (answer) => listAnswer(answer, JSON.parse(body || '{}').prefix ?? ''));
    }
    if (kind === 'info') return this.answer(await send(), infoAnswer);
    if (kind === 'sign') return this.answer(await send(request.body), signedAnswer);
    if (kind === 'sign-upload') return this.answer(await send(request.body), signedUploadAnswer);
    if (headers.get('content-type')?.startsWith('multipart/form-data')) {
      const form = nameFileField(await request.formData());
      headers.delete('content-type');
      if (kind !== 'signed-upload') return send(form);
      // Of all uploads, the one by a signed URL takes no forms.
      const file = form.get('file');
      if (file?.type) headers.set('content-type', file.type);
      if (form.get('cacheControl')) headers.set('cache-control', `max-age=${form.get('cacheControl')}`);
      return send(file);
    }
    const response = await send(['GET', 'HEAD'].includes(method) ? undefined : request.body);
    return kind === 'download' && response.ok ? download(response, request, url) : withErrorCode(response);
  }

  async answer(response, change) {
    return response.ok ? json(change(await response.json())) : withErrorCode(response);
  }

  /** One after the other: an object that is not there must not spoil the rest. */
  async signMany(url, headers, { paths = [], expiresIn }) {
    headers.delete('content-length');
    const signed = [];
    for (const path of paths) {
      const one = `${url.origin}${url.pathname.replace(/\/$/, '')}/${path.split('/').map(encodeURIComponent).join('/')}`;
      const response = await this.lite(new Request(one, { method: 'POST', headers, body: JSON.stringify({ expiresIn }) }));
      const { signedURL = null, message } = response.ok ? signedAnswer(await response.json()) : await response.json();
      signed.push({ path, signedURL, error: signedURL ? null : (message ?? 'Either the object does not exist or you do not have access to it') });
    }
    return json(signed);
  }
}

async function withErrorCode(response) {
  if (response.ok || !response.headers.get('content-type')?.includes('json')) return response;
  return json(withCode(await response.json()), response.status);
}

/** Parts of an object (players and browsers ask for them), and the name to save it under. */
function download(response, request, url) {
  const headers = new Headers(response.headers);
  headers.set('accept-ranges', 'bytes');
  if (url.searchParams.has('download')) headers.set('content-disposition', disposition(url.pathname, url.searchParams.get('download')));
  const size = Number(headers.get('content-length'));
  const part = response.status === 200 && size && response.body && parseRange(request.headers.get('range'), size);
  if (!part) return new Response(response.body, { status: response.status, headers });
  headers.set('content-range', `bytes ${part.start}-${part.end}/${size}`);
  headers.set('content-length', String(part.end - part.start + 1));
  return new Response(slice(response.body, part), { status: 206, headers });
}
