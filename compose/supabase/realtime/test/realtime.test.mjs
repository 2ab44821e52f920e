import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchesFilter, shortType, toChange, wants } from '../src/changes.mjs';
import { decode, encode } from '../src/protocol.mjs';

test('messages of both versions of the protocol', () => {
  assert.deepEqual(decode('["1","2","realtime:a","phx_join",{"config":{}}]', false), ['1', '2', 'realtime:a', 'phx_join', { config: {} }]);
  assert.deepEqual(decode('{"topic":"realtime:a","event":"phx_join","payload":{},"ref":"2","join_ref":"1"}', false), ['1', '2', 'realtime:a', 'phx_join', {}]);
  assert.equal(encode(['1', '2', 't', 'e', {}], '2.0.0'), '["1","2","t","e",{}]');
  assert.deepEqual(JSON.parse(encode(['1', '2', 't', 'e', {}], '1.0.0')), { join_ref: '1', ref: '2', topic: 't', event: 'e', payload: {} });
});

test('binary broadcasts', () => {
  const parts = ['1', '2', 'realtime:a', 'note', ''];
  const frame = (encoding, body) => Buffer.concat([Buffer.from([3, ...parts.map((part) => part.length), encoding]), Buffer.from(parts.join('')), body]);
  assert.deepEqual(decode(frame(1, Buffer.from('{"a":1}')), true), ['1', '2', 'realtime:a', 'broadcast', { type: 'broadcast', event: 'note', payload: { a: 1 } }]);
  const [, , topic, , payload] = decode(frame(0, Buffer.from([1, 2, 3])), true);
  const sent = encode([null, null, topic, 'broadcast', payload], '2.0.0');
  assert.deepEqual([sent[0], sent[1], sent[2], [...sent.subarray(-3)]], [4, topic.length, 4, [1, 2, 3]]);
  assert.throws(() => decode(Buffer.from([9]), true), /unknown kind/);
});

test('names of types as realtime-js converts them', () => {
  assert.deepEqual(['integer', 'bigint[]', 'character varying(20)', 'timestamp with time zone', 'jsonb', 'text[]', 'priority'].map(shortType), ['int4', '_int8', 'varchar', 'timestamptz', 'jsonb', '_text', 'priority']);
});

test('filters of a subscription', () => {
  const row = { id: 5, name: 'ab', done: false, gone: null };
  const matching = ['id=eq.5', 'id=gt.4', 'id=lte.5', 'id=in.(4,5)', 'name=eq.ab', 'name=neq.x', 'done=eq.false', 'name=in.("ab",c)', undefined];
  const not = ['id=eq.6', 'id=gt.5', 'id=in.(1,2)', 'gone=eq.1', 'none=eq.1', 'nonsense', 'id=like.5'];
  assert.deepEqual(matching.map((filter) => matchesFilter(filter, row)), matching.map(() => true));
  assert.deepEqual(not.map((filter) => matchesFilter(filter, row)), not.map(() => false));
});

test('lines of wal2json', () => {
  const insert = toChange({ action: 'I', schema: 'public', table: 't', timestamp: 'now', columns: [{ name: 'id', type: 'integer', value: 1 }], pk: [{ name: 'id', type: 'integer' }] });
  assert.deepEqual(insert.data.record, { id: 1 });
  assert.deepEqual(insert.primaryKey, ['id']);
  const gone = toChange({ action: 'D', schema: 'public', table: 't', identity: [{ name: 'id', type: 'integer', value: 1 }], pk: [{ name: 'id' }] });
  assert.deepEqual([gone.data.type, gone.data.record, gone.data.old_record], ['DELETE', {}, { id: 1 }]);
  assert.equal(toChange({ action: 'B' }), null);
  assert.equal(wants({ event: 'insert', schema: 'public', table: 't', filter: 'id=eq.1' }, insert.data), true);
  assert.equal(wants({ event: '*', schema: '*' }, gone.data), true);
  assert.equal(wants({ event: 'UPDATE', schema: 'public', table: 't' }, insert.data), false);
});
