// /storage/v1 is @supabase/lite's; requests and answers are brought into the form that storage-js speaks. The functions are pure; the tests run them without a stack.
import { json } from './responses.mjs';

const PREFIX = '/storage/v1';

/** What a storage path means to us. */
export function route(method, path) {
  const rest = path.slice(PREFIX.length);
  if (rest.startsWith('/object/upload/sign/')) return method === 'POST' ? 'sign-upload' : 'other';
  if (method === 'POST' && rest.startsWith('/object/sign/')) return 'sign';
  if (method === 'POST' && rest.startsWith('/object/list/')) return 'list';
  return 'other';
}

/** storage-js puts the file into a field without a name; @supabase/lite looks for one called `file`. */
export function nameFileField(form) {
  const result = new FormData();
  for (const [name, value] of form) result.append(name === '' ? 'file' : name, value);
  return result;
}

const relative = (url) => url?.replace(/^https?:\/\/[^/]+/, '').replace(/^\/storage\/v1/, '');

export function signedAnswer(answer) {
  return Array.isArray(answer) ? answer.map((item) => ({ ...item, signedURL: relative(item.signedURL ?? item.signedUrl) ?? null })) : { ...answer, signedURL: relative(answer.signedURL ?? answer.signedUrl) };
}

export const signedUploadAnswer = (answer) => ({ ...answer, url: relative(answer.url ?? answer.signedURL ?? answer.signedUrl) });

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

export class Storage {
  constructor({ lite }) {
    this.lite = lite;
  }

  async fetch(request) {
    const { method } = request;
    const { pathname } = new URL(request.url);
    const kind = route(method, pathname);
    const headers = new Headers(request.headers);
    let body = ['GET', 'HEAD'].includes(method) ? undefined : request.body;
    let prefix;
    if (headers.get('content-type')?.startsWith('multipart/form-data')) {
      body = nameFileField(await request.formData());
      headers.delete('content-type');
      headers.delete('content-length');
    } else if (kind === 'list') {
      body = await request.text();
      prefix = JSON.parse(body || '{}').prefix ?? '';
    }
    const response = await this.lite(new Request(request.url, { method, headers, body, duplex: 'half' }));
    if (!response.ok || kind === 'other') return response;
    const answer = await response.json();
    if (kind === 'sign') return json(signedAnswer(answer));
    if (kind === 'sign-upload') return json(signedUploadAnswer(answer));
    return json(listAnswer(answer, prefix));
  }
}
