// The service `storage`: the files of stored objects, over HTTP, for the gateway alone. It is the only one that mounts the volume: when devenv puts another branch's data under it,
// this small process starts again and the gateway goes on. It knows bytes and nothing else; who may see them is the gateway's matter.
import { createHash, randomUUID } from 'node:crypto';
import { constants, createWriteStream } from 'node:fs';
import { copyFile, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { filePath, parseObjectUrl, parseRange } from './object-paths.mjs';

const TEMPORARY = '.upload-';

const json = (response, status, body) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
const refuse = (response, status, message) => json(response, status, { message });

class Files {
  constructor(root) {
    this.root = root;
  }

  /** A file is whole or not there: it is written under another name, brought to the disk, and renamed. */
  async place(file, write) {
    const temporary = path.join(this.root, `${TEMPORARY}${randomUUID()}`);
    try {
      await mkdir(path.dirname(file), { recursive: true });
      const known = await write(temporary);
      const handle = await open(temporary, 'r');
      try {
        await handle.sync();
        const { size, mtimeMs } = await handle.stat();
        await rename(temporary, file);
        return { ...known, size, modified: mtimeMs };
      } finally {
        await handle.close();
      }
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }

  put(file, body) {
    return this.place(file, async (temporary) => {
      const hash = createHash('md5');
      const hashing = new Transform({ transform: (chunk, _, done) => (hash.update(chunk), done(null, chunk)) });
      await pipeline(body, hashing, createWriteStream(temporary, { flags: 'wx' }));
      return { md5: hash.digest('hex') };
    });
  }

  copy(from, to) {
    return this.place(to, async (temporary) => copyFile(from, temporary, constants.COPYFILE_FICLONE));
  }

  async send(file, request, response) {
    const handle = await open(file, 'r');
    try {
      const { size, mtime } = await handle.stat();
      const part = parseRange(request.headers.range, size);
      const { start, end } = part ?? { start: 0, end: size - 1 };
      response.writeHead(part ? 206 : 200, {
        'accept-ranges': 'bytes', 'content-length': end - start + 1, 'last-modified': mtime.toUTCString(), ...(part && { 'content-range': `bytes ${start}-${end}/${size}` }),
      });
      if (request.method === 'HEAD' || size === 0) return response.end();
      return await pipeline(handle.createReadStream({ start, end, autoClose: false }), response);
    } finally {
      await handle.close();
    }
  }

  async handle(request, response) {
    if (request.url === '/health') return json(response, 200, { status: 'ok' });
    const object = parseObjectUrl(request.url);
    if (!object) return refuse(response, 400, `no object: ${request.url}`);
    const file = filePath(this.root, ...object);
    switch (request.method) {
      case 'GET':
      case 'HEAD':
        return this.send(file, request, response);
      case 'PUT':
        return json(response, 200, await this.put(file, request));
      case 'COPY': {
        const to = parseObjectUrl(request.headers.destination ?? '');
        return to ? json(response, 200, await this.copy(file, filePath(this.root, ...to))) : refuse(response, 400, 'COPY wants the header Destination');
      }
      case 'DELETE':
        await rm(file, { force: true });
        return response.writeHead(204).end();
      default:
        return refuse(response, 405, request.method);
    }
  }

  /** What an upload left that was cut off together with this process. */
  async sweep() {
    for (const entry of await readdir(this.root, { withFileTypes: true })) {
      if (entry.isFile() && entry.name.startsWith(TEMPORARY)) await rm(path.join(this.root, entry.name), { force: true });
    }
  }
}

export async function fileServer(root) {
  const files = new Files(root);
  await files.sweep();
  const server = http.createServer((request, response) => {
    files.handle(request, response).catch((error) => {
      if (response.headersSent || request.socket.destroyed) return response.destroy();
      if (error.code === 'ENOENT') return refuse(response, 404, 'no such object');
      if (error.code === 'ENAMETOOLONG') return refuse(response, 400, 'the name of the object is too long');
      console.error(`${request.method} ${request.url}:`, error);
      return refuse(response, 500, error.message);
    });
  });
  // An upload takes as long as it takes.
  server.requestTimeout = 0;
  return server;
}

if (process.argv[1] === import.meta.filename) {
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
  const { STORAGE_ROOT = '/var/lib/storage', PORT = '5000' } = process.env;
  const server = await fileServer(STORAGE_ROOT);
  server.listen(Number(PORT), '0.0.0.0', () => console.log(`storage ready after ${Math.round(performance.now())} ms`));
}
