import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Follower } from '../src/follow.mjs';

/** Servers that come and go as the test says. */
function servers() {
  const made = [];
  const begin = () => {
    const server = { number: made.length + 1, over: false, check: async () => {} };
    server.ended = new Promise((resolve) => { server.lose = () => { server.over = true; resolve(); }; });
    const started = new Promise((resolve, reject) => Object.assign(server, { start: resolve, refuse: reject }));
    server.ready = () => started;
    server.end = () => { server.closed = true; };
    made.push(server);
    return server;
  };
  const next = async (number) => {
    while (made.length < number) await pause(1);
    return made[number - 1];
  };
  return { begin, next };
}

const get = new Request('http://localhost/rest/v1/a');
const post = new Request('http://localhost/rest/v1/a', { method: 'POST', body: '{}' });
const says = (server) => new Response(`server ${server.number}`);

test('requests wait for the first server, and for the next one', async () => {
  const { begin, next } = servers();
  const follower = new Follower({ begin });
  const first = await next(1);
  const early = follower.answer(get, says);
  first.start();
  assert.equal(await (await early).text(), 'server 1');
  first.lose();
  const between = [follower.answer(get, says), follower.answer(post, says)];
  const second = await next(2);
  assert.equal(first.closed, true);
  assert.equal(follower.current, null);
  second.start();
  for (const answer of between) assert.equal(await (await answer).text(), 'server 2');
});

test('without a server there is one clear answer after a while', async () => {
  const { begin, next } = servers();
  const follower = new Follower({ begin, patience: 10 });
  const response = await follower.answer(get, says);
  assert.deepEqual([response.status, response.headers.get('retry-after'), (await response.json()).code], [503, '1', 'PGRST001']);
  (await next(1)).refuse(new Error('its schema cannot be read'));
  (await next(2)).start();
  await pause(1);
  assert.equal(await (await follower.answer(get, says)).text(), 'server 2');
});

test('a server that vanishes under a request: reading goes to the next, writing is not repeated', async () => {
  const { begin, next } = servers();
  const follower = new Follower({ begin });
  const first = await next(1);
  first.start();
  await pause(1);
  const calls = [];
  const vanishing = (method) => async (server) => {
    calls.push([method, server.number]);
    if (server.number > 1) return says(server);
    server.lose();
    if (method === 'throws') throw new Error('CONNECTION_CLOSED');
    return new Response('half', { status: method === 'committed' ? 200 : 500 });
  };
  const answers = [follower.answer(get, vanishing('read')), follower.answer(get, vanishing('throws')), follower.answer(post, vanishing('write')), follower.answer(post, vanishing('committed'))];
  (await next(2)).start();
  const [read, thrown, written, committed] = await Promise.all(answers);
  assert.deepEqual([await read.text(), await thrown.text()], ['server 2', 'server 2']);
  assert.equal(written.status, 503);
  assert.match((await written.json()).message, /may have been carried out/);
  assert.equal(await committed.text(), 'half');
  assert.deepEqual(calls.filter(([method]) => method === 'write'), [['write', 1]]);
});

test('a driver that forgets to answer keeps nobody waiting', async () => {
  const { begin, next } = servers();
  const follower = new Follower({ begin });
  const first = await next(1);
  first.start();
  await pause(1);
  const forgotten = (server) => (server.number > 1 ? says(server) : new Promise(() => {}));
  const [read, written] = [follower.answer(get, forgotten), follower.answer(post, forgotten)];
  await pause(1);
  first.lose();
  (await next(2)).start();
  assert.equal(await (await read).text(), 'server 2');
  assert.equal((await written).status, 503);
});

test('an error without a lost server is the answer', async () => {
  const { begin, next } = servers();
  const follower = new Follower({ begin });
  (await next(1)).start();
  await assert.rejects(follower.answer(get, async () => { throw new Error('ours'); }), /ours/);
  const failed = await follower.answer(get, () => new Response('no', { status: 500 }));
  assert.deepEqual([failed.status, await failed.text()], [500, 'no']);
});
