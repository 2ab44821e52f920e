import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { access, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { text } from 'node:stream/consumers';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileServer } from '../src/files.mjs';
import { objectUrl, parseObjectUrl } from '../src/object-paths.mjs';
import { ObjectStore, storeContext } from '../src/object-store.mjs';

let root;
let server;
let store;

const start = async (port = 0) => {
  server = await fileServer(root);
  await once(server.listen(port, '127.0.0.1'), 'listening');
  return server.address().port;
};
const stop = () => {
  const closed = once(server.close(), 'close');
  server.closeAllConnections();
  return closed;
};
/** What storage.objects says: nothing. */
const sql = async () => [];
const read = async (key, options) => new Response((await store.getObject('b', key, undefined, options)).body).text();

before(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'devenv-files-'));
  store = new ObjectStore({ url: `http://127.0.0.1:${await start()}`, sql });
});
after(async () => {
  await stop();
  await rm(root, { recursive: true });
});

test('upload, download, head, copy, delete', async () => {
  const stream = new Blob(['con', 'tent']).stream();
  const known = await store.uploadObject('b', 'u/a.txt', undefined, stream, 'text/plain', 'no-cache');
  assert.deepEqual([known.size, known.mimetype, known.eTag], [7, 'text/plain', `"${createHash('md5').update('content').digest('hex')}"`]);
  assert.ok(Math.abs(known.lastModified - Date.now()) < 10_000);
  assert.equal(await read('u/a.txt'), 'content');
  await store.copyObject('b', 'u/a.txt', undefined, 'b', 'u/a.txt/b');
  assert.equal(await read('u/a.txt/b'), 'content');
  assert.equal((await store.headObject('b', 'u/a.txt')).size, 7);
  await store.deleteObjects('b', ['u/a.txt', 'u/none']);
  assert.equal(await store.has('b', 'u/a.txt'), false);
  assert.equal(await store.has('b', 'u/a.txt/b'), true);
  await assert.rejects(store.getObject('b', 'u/a.txt'), { code: 'ENOENT' });
  await assert.rejects(store.copyObject('b', 'u/a.txt', undefined, 'b', 'c'), { code: 'ENOENT' });
});

test('bytes, an empty object, parts', async () => {
  const bytes = new Uint8Array(300_000).map((_, i) => (i * 31) % 256);
  await store.uploadObject('b', 'bytes', undefined, bytes);
  assert.deepEqual(new Uint8Array(await new Response((await store.getObject('b', 'bytes')).body).arrayBuffer()), bytes);
  await store.uploadObject('b', 'empty', undefined, new Uint8Array());
  assert.equal(await read('empty'), '');
  await store.uploadObject('b', 'digits', undefined, new TextEncoder().encode('0123456789'));
  const part = await store.getObject('b', 'digits', undefined, { range: 'bytes=2-4' });
  assert.deepEqual([part.httpStatusCode, part.metadata.size, part.metadata.contentLength, part.metadata.contentRange], [206, 10, 3, 'bytes 2-4/10']);
  assert.equal(await new Response(part.body).text(), '234');
});

test('odd names come back, and none leads out of the root', async () => {
  for (const key of ['schöne Grüße?.txt', '100%/a%2Fb#c', '../../up', './a/..', 'a\\b', '%']) {
    await store.uploadObject('b', key, undefined, new TextEncoder().encode(key));
    assert.equal(await read(key), key);
    assert.deepEqual(parseObjectUrl(objectUrl('b', key)), ['b', key]);
  }
  assert.deepEqual((await readdir(root)), ['b']);
  await assert.rejects(access(path.join(root, '..', 'up%')));
  // By hand, as no client of ours would.
  for (const line of ['GET /../../etc/passwd', 'GET /b/%2e%2e/%2e%2e/etc/passwd', 'GET /b/%zz', 'GET /', 'PATCH /b/a']) {
    const socket = net.connect(server.address().port, '127.0.0.1');
    socket.write(`${line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
    assert.match(await text(socket), /^HTTP\/1.1 40[045] /, line);
  }
  await assert.rejects(store.uploadObject('b', 'x'.repeat(300), undefined, new Uint8Array(1)), { status: 400 });
});

test('an upload that is cut off leaves nothing', async () => {
  async function* half() {
    yield Buffer.from('half');
    throw new Error('the browser was closed');
  }
  await assert.rejects(store.uploadObject('b', 'cut', undefined, half()), /does not answer/);
  assert.equal(await store.has('b', 'cut'), false);
  while ((await readdir(root)).length > 1) await new Promise((resolve) => setTimeout(resolve, 1));
  await writeFile(path.join(root, '.upload-of-a-process-that-was-killed'), 'half');
  const { port } = server.address();
  await stop();
  await start(port);
  assert.deepEqual(await readdir(root), ['b']);
});

test('while it starts again, requests wait; a body is not lost', async () => {
  await store.uploadObject('b', 'stays', undefined, new TextEncoder().encode('here'));
  const { port } = server.address();
  await stop();
  const waiting = [read('stays'), store.uploadObject('b', 'meanwhile', undefined, new Blob(['streamed']).stream())];
  await new Promise((resolve) => setTimeout(resolve, 60));
  await start(port);
  assert.equal(await waiting[0], 'here');
  await waiting[1];
  assert.equal(await read('meanwhile'), 'streamed');
});

test('what never answers is told apart from what is not there', async () => {
  const nobody = new ObjectStore({ url: 'http://127.0.0.1:9', sql, patience: 30 });
  const context = {};
  await assert.rejects(storeContext.run(context, () => nobody.has('b', 'a')), /storage does not answer \(ECONNREFUSED\)/);
  assert.equal(context.away, true);
});
