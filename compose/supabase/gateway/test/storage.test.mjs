import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filePath, parseRange } from '../src/object-paths.mjs';
import { bucketRequest, disposition, infoAnswer, listAnswer, nameFileField, plainPath, route, signedAnswer, signedUploadAnswer, slice, withCode } from '../src/storage.mjs';

test('what requests are about', () => {
  const of = (method, path) => route(method, `/storage/v1${path}`);
  assert.deepEqual(
    [of('POST', '/object/sign/b/a/b.txt'), of('POST', '/object/sign/b'), of('GET', '/object/sign/b/a.txt'), of('POST', '/object/upload/sign/b/a'), of('PUT', '/object/upload/sign/b/a'), of('POST', '/object/list/b'), of('GET', '/object/info/b/a')],
    ['sign', 'sign-many', 'download', 'sign-upload', 'signed-upload', 'list', 'info'],
  );
  assert.equal(of('PUT', '/bucket/b'), 'bucket');
  assert.equal(of('POST', '/bucket/b/empty'), 'other');
  assert.equal(plainPath('/storage/v1/object/authenticated/b/a'), '/storage/v1/object/b/a');
  assert.equal(plainPath('/storage/v1/render/image/public/b/a.png'), '/storage/v1/object/public/b/a.png');
});

test('the field without a name becomes `file`', async () => {
  const form = new FormData();
  form.append('cacheControl', '3600');
  form.append('', new Blob(['x']), 'x.txt');
  const named = nameFileField(form);
  assert.equal(named.get('cacheControl'), '3600');
  assert.equal(await named.get('file').text(), 'x');
});

test('signed addresses are relative to /storage/v1', () => {
  assert.equal(signedAnswer({ signedUrl: '/storage/v1/object/sign/b/a?token=t' }).signedURL, '/object/sign/b/a?token=t');
  assert.equal(signedUploadAnswer({ signedUrl: 'http://127.0.0.1:54321/storage/v1/object/upload/sign/b/a?token=t' }).url, '/object/upload/sign/b/a?token=t');
});

test('a list shows one folder', () => {
  const objects = [{ name: 'u/a.txt', id: 1, metadata: '{"size":1}' }, { name: 'u/deep/b.txt', id: 2 }, { name: 'u/deep/c.txt', id: 3 }];
  const list = listAnswer(objects, 'u');
  assert.deepEqual(list.map(({ name, id }) => [name, id]), [['a.txt', 1], ['deep', null]]);
  assert.deepEqual(list[0].metadata, { size: 1 });
  assert.deepEqual(listAnswer([{ name: 'x.txt', id: 1, metadata: {} }]).map(({ name }) => name), ['x.txt']);
});

test('limits of buckets are numbers', () => {
  assert.deepEqual(bucketRequest({ id: 'b', name: 'b', public: true, file_size_limit: '1KB', allowed_mime_types: null }), { id: 'b', name: 'b', public: true, file_size_limit: 1000 });
});

test('info, errors, names to save under', () => {
  assert.equal(infoAnswer({ name: 'a', metadata: { size: 3, mimetype: 'text/plain' } }).content_type, 'text/plain');
  assert.equal(withCode({ message: 'Object not found' }).code, 'NoSuchKey');
  assert.equal(withCode({ message: 'else' }).code, undefined);
  assert.equal(disposition('/b/ä.txt', ''), 'attachment; filename="_.txt"; filename*=UTF-8\'\'%C3%A4.txt');
  assert.equal(disposition('/b/a.txt', 'n"x.txt'), 'attachment; filename="n_x.txt"; filename*=UTF-8\'\'n%22x.txt');
});

test('no name leads out of its bucket', () => {
  assert.equal(filePath('/root', 'b', 'a/b.txt'), '/root/b/a/b.txt%');
  assert.equal(filePath('/root', 'b', '../../etc/passwd'), '/root/b/%2E%2E/%2E%2E/etc/passwd%');
  assert.equal(filePath('/root', '..', 'x'), '/root/%2E%2E/x%');
});

test('ranges', async () => {
  assert.deepEqual(['bytes=2-4', 'bytes=5-', 'bytes=-3', 'bytes=8-99'].map((range) => parseRange(range, 10)), [{ start: 2, end: 4 }, { start: 5, end: 9 }, { start: 7, end: 9 }, { start: 8, end: 9 }]);
  assert.deepEqual(['bytes=20-30', 'lines=1-2', '', null].map((range) => parseRange(range, 10)), [null, null, null, null]);
  const stream = new Blob(['0123', '4567', '89']).stream();
  assert.equal(await new Response(slice(stream, { start: 2, end: 5 })).text(), '2345');
});
