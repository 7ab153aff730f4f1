// What changed, told to all of a user's sockets that asked for it, in every process.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Adjutant, BACKENDS, createUser, eachBackend, Fake, fresh, sleep } from './harness.mjs';

const isChange = (what, more = {}) => (f) => f.type === 'changed' && f.what === what &&
  Object.entries(more).every(([k, v]) => f[k] === v);

/** A socket that watches; `heard` is what it was told. */
async function watcher(g, options) {
  const ws = await g.socket(options);
  ws.send({ type: 'watch', ref: 'w' });
  await ws.next((f) => f.ref === 'w' && f.type === 'ok');
  ws.heard = (what, more) => ws.next(isChange(what, more));
  ws.told = () => ws.frames.filter((f) => f.type === 'changed');
  return ws;
}

eachBackend('feed', (start) => {
  const g = start();

  test('a turn of one client is told to the other ones, from its beginning to its end', async () => {
    const [one, two] = [await watcher(g), await watcher(g)];
    const quiet = await g.socket();
    const thread = fresh();
    const turn = await one.chat({ threadId: thread, message: '[say hello]' });
    for (const ws of [one, two]) {
      await ws.heard('turn', { threadId: thread, runId: turn.runId, state: 'done' });
      await ws.heard('thread', { threadId: thread });
      assert.ok(!ws.told().some((f) => f.what === 'all'));
    }
    await sleep(100);
    assert.deepEqual(quiet.frames.filter((f) => f.type === 'changed'), []);
    for (const ws of [one, two, quiet]) await ws.close();
  });

  test('a long turn runs first, and what waits behind it is queued; cancelled, it has ended', async () => {
    const ws = await watcher(g);
    const thread = fresh();
    const first = await g.chat('[tokens 200] [delay 20]', { thread_id: thread, wait: false });
    await ws.heard('turn', { runId: first.turn_id, state: 'running' });
    const second = await g.chat('[say two]', { thread_id: thread, wait: false });
    await ws.heard('turn', { runId: second.turn_id, state: 'queued' });
    await g.post(`/api/turns/${second.turn_id}/cancel`);
    await ws.heard('turn', { threadId: thread, runId: second.turn_id, state: 'cancelled' });
    await g.post(`/api/turns/${first.turn_id}/cancel`);
    await ws.heard('turn', { threadId: thread, runId: first.turn_id, state: 'cancelled' });
    await ws.close();
  });

  test('threads made, renamed, archived, forked and deleted', async () => {
    const ws = await watcher(g);
    const thread = fresh();
    const turn = await g.chat('[say a]', { thread_id: thread });
    const heard = async (id) => {
      await ws.heard('thread', { threadId: id });
      await sleep(60);
      ws.frames.length = 0;
    };
    await heard(thread);
    const made = fresh();
    await g.post('/api/threads', { id: made });
    await heard(made);
    await g.request('PATCH', `/api/threads/${made}`, { body: { title: 'x' } });
    await heard(made);
    await g.request('PATCH', `/api/threads/${made}`, { body: { archived: true } });
    await heard(made);
    const fork = fresh();
    await g.post(`/api/threads/${thread}/fork`, { turn_id: turn.turn_id, thread_id: fork });
    await heard(fork);
    await g.request('DELETE', `/api/threads/${made}`);
    await heard(made);
    await ws.close();
  });

  test('watching twice is watching once', async () => {
    const ws = await watcher(g);
    ws.send({ type: 'watch', ref: 'again' });
    await ws.next((f) => f.ref === 'again' && f.type === 'ok');
    const made = fresh();
    await g.post('/api/threads', { id: made });
    await ws.heard('thread', { threadId: made });
    await sleep(100);
    assert.equal(ws.told().filter((f) => f.threadId === made).length, 1);
    await ws.close();
  });

  test('many changes of a thread within a moment are few frames', async () => {
    const ws = await watcher(g);
    const made = fresh();
    await g.post('/api/threads', { id: made });
    const n = 60;
    await Promise.all(Array.from({ length: n }, (_, i) => g.request('PATCH', `/api/threads/${made}`, { body: { title: `t${i}` } })));
    await ws.heard('thread', { threadId: made });
    await sleep(200);
    assert.ok(ws.told().length < n / 2, `${ws.told().length} frames`);
    await ws.close();
  });
});
