// What changed, told to all of a user's sockets that asked for it, in every process.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Adjutant, BACKENDS, createUser, eachBackend, eventually, Fake, fresh, McpServer, sleep, tools, within } from './harness.mjs';

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

  test('settings', async () => {
    const ws = await watcher(g);
    const put = (path, body) => g.request('PUT', path, { body });
    const heard = async (r, name) => {
      assert.ok(r.status < 300, r.text);
      await ws.heard('settings', { name });
      assert.ok(!ws.told().some((f) => f.what === 'all'));
      ws.frames.length = 0;
    };
    await heard(await put('/api/credentials/garmin', { value: { a: 1 } }), 'credentials');
    await heard(await g.request('DELETE', '/api/credentials/garmin'), 'credentials');
    await heard(await put('/api/policies', { server: 'x', tool: 'y', policy: 'deny' }), 'policies');
    await heard(await g.request('DELETE', '/api/policies?server=x&tool=y'), 'policies');
    await heard(await put('/api/me/profile', { name: 'Ann' }), 'profile');
    await ws.close();
  });

  test('a socket that takes nothing is told "all" when it does, and nothing piles up for it', async () => {
    const [slow, other] = [await watcher(g, { deflate: false }), await watcher(g)];
    const turns = [];
    for (let i = 0; i < 5; i++) turns.push(await slow.chat({ message: '[first 300] [big 2000000]' }));
    slow.ws.pause();
    for (const turn of turns) await other.heard('turn', { runId: turn.runId, state: 'done' });
    const last = fresh('last');
    for (let i = 0; i < 300; i++) await g.post('/api/threads', { id: fresh('flood') });
    await g.post('/api/threads', { id: last });
    await other.heard('thread', { threadId: last });
    slow.ws.resume();
    await slow.heard('all');
    for (const turn of turns) await slow.end(turn.runId);
    const next = fresh('next');
    await g.post('/api/threads', { id: next });
    await slow.heard('thread', { threadId: next });
    assert.ok(!slow.told().some((f) => f.threadId === last), 'it was told what piled up');
    assert.ok(slow.told().length < 100, `${slow.told().length} frames`);
    assert.ok(!other.told().some((f) => f.what === 'all'));
    for (const ws of [slow, other]) await ws.close();
  });
});

eachBackend('what a turn asks, told to other clients', (start) => {
  let server;
  before(async () => { server = await McpServer.start({ tools: [tools.erase] }); });
  after(() => server.stop());
  const g = start({ mcp: () => ({ disk: server.definition() }) });

  test('asked, answered elsewhere, and gone on with', async () => {
    const ws = await watcher(g);
    await eventually(async () => (await g.get('/api/connections')).json.connections.some((c) => c.state === 'ready'), { what: 'the server' });
    const s = await g.stream('[tool erase {"path":"/x"}] [then] [say gone]');
    const events = await s.all();
    const { interrupts } = events.at(-1).json.outcome;
    await ws.heard('interrupt', { threadId: s.threadId, runId: s.turnId });
    await ws.heard('turn', { threadId: s.threadId, runId: s.turnId, state: 'interrupted' });
    await sleep(60);
    ws.frames.length = 0;
    const r = await g.post(`/api/interrupts/${interrupts[0].id}`, { approved: true, always: true });
    await ws.heard('interrupt', { threadId: s.threadId, runId: s.turnId });
    await ws.heard('turn', { threadId: s.threadId, runId: r.json.turn_id, state: 'done' });
    await ws.heard('settings', { name: 'policies' });
    await ws.close();
  });

  test('a server that goes away, and comes back', async () => {
    const ws = await watcher(g);
    const reconnect = () => g.post('/api/connections/disk/reconnect', {});
    await server.stop();
    await reconnect();
    await ws.heard('settings', { name: 'connections' });
    await sleep(60);
    ws.frames.length = 0;
    await server.begin();
    await reconnect();
    await ws.heard('settings', { name: 'connections' });
    await ws.close();
  });
});

eachBackend('the changes of several users', (start) => {
  const g = start();
  let ann, bob;
  before(async () => {
    ann = await createUser(g, 'ann');
    bob = await createUser(g, 'bob');
  });

  test('are told to their own clients only', async () => {
    const mine = await watcher(g, { headers: ann.headers });
    const others = await watcher(g, { headers: bob.headers });
    const thread = fresh();
    await ann.chat('[say secret]', { thread_id: thread });
    await ann.call('PUT', '/api/credentials/garmin', { value: { a: 1 } });
    await ann.call('POST', '/api/threads', { id: fresh() });
    await mine.heard('settings', { name: 'credentials' });
    await mine.heard('turn', { state: 'done' });
    await sleep(200);
    assert.deepEqual(others.told(), []);
    // The same name is another thread.
    await bob.call('POST', '/api/threads', { id: thread });
    await others.heard('thread', { threadId: thread });
    for (const ws of [mine, others]) await ws.close();
  });

  test('and not to a key that was revoked', async () => {
    const made = await ann.call('POST', '/api/keys', { label: 'phone' });
    const phone = await watcher(g, { headers: { 'X-API-Key': made.json.key } });
    const laptop = await watcher(g, { headers: ann.headers });
    await ann.call('POST', '/api/threads', { id: 'before' });
    await phone.heard('thread', { threadId: 'before' });
    const from = phone.frames.length;
    const revoked = await ann.call('DELETE', `/api/keys/${made.json.hash}`);
    assert.equal(revoked.status, 204, revoked.text);
    await ann.call('POST', '/api/threads', { id: 'after' });
    await laptop.heard('thread', { threadId: 'after' });
    await laptop.heard('settings', { name: 'keys' });
    assert.equal(await within(phone.closed, 10_000), 1008);
    assert.deepEqual(phone.frames.slice(from), []);
    await laptop.close();
  });

  test('a new session is told, and its end', async () => {
    const ws = await watcher(g, { headers: ann.headers });
    const r = await g.post('/api/login', { key: ann.headers['X-API-Key'] });
    assert.equal(r.status, 200);
    await ws.heard('settings', { name: 'keys' });
    await sleep(60);
    ws.frames.length = 0;
    const cookie = r.headers['set-cookie'][0].split(';')[0];
    const browser = await watcher(g, { headers: { 'X-API-Key': '', Cookie: cookie }, origin: g.url });
    const out = await g.post('/api/logout', {}, { headers: { 'X-API-Key': '', Cookie: cookie, 'Sec-Fetch-Site': 'same-origin' } });
    assert.equal(out.status, 204);
    await ws.heard('settings', { name: 'keys' });
    assert.equal(await within(browser.closed, 10_000), 1008);
    assert.deepEqual(browser.told(), []);
    await ws.close();
  });
}, ['postgres']);

describe('the changes of two gateways on one PostgreSQL', { skip: !BACKENDS.includes('postgres') }, () => {
  let fake, a, b, ann, bob;
  before(async () => {
    fake = await Fake.start();
    a = await Adjutant.start({ backend: 'postgres', fake, env: { ADJUTANT_LEASE_MS: '1500' } });
    b = await Adjutant.start({ backend: 'postgres', fake, env: { ADJUTANT_LEASE_MS: '1500' }, db: a.db });
    ann = await createUser(a, 'ann');
    bob = await createUser(a, 'bob');
  });
  after(async () => {
    for (const g of [a, b]) if (g?.alive) await g.stop();
    await fake?.stop();
  });

  test('a turn in one is told to the sockets of the other, and to nobody else', async () => {
    const there = await watcher(b, { headers: ann.headers });
    const others = await watcher(b, { headers: bob.headers });
    await sleep(5200); // the time in which a new process tells everybody
    const turn = await ann.chat('[tokens 20] [delay 20]');
    await there.heard('turn', { threadId: turn.thread_id, runId: turn.turn_id, state: 'running' });
    await there.heard('turn', { threadId: turn.thread_id, runId: turn.turn_id, state: 'done' });
    await there.heard('thread', { threadId: turn.thread_id });
    await sleep(200);
    assert.ok(!there.told().some((f) => f.what === 'all'), JSON.stringify(there.told()));
    assert.deepEqual(others.told(), []);
    for (const ws of [there, others]) await ws.close();
  });

  test('what happened right after a socket began to watch is heard', async () => {
    for (let i = 0; i < 10; i++) {
      const user = i % 2 ? ann : bob;
      const there = await watcher(b, { headers: user.headers });
      const id = fresh();
      await user.call('POST', '/api/threads', { id });
      await there.next((f) => f.type === 'changed' && (f.threadId === id || f.what === 'all'));
      await there.close();
    }
  });

  test('a key revoked in one: its socket in the other hears nothing more', async () => {
    const made = await ann.call('POST', '/api/keys', { label: 'phone' });
    const phone = await watcher(b, { headers: { 'X-API-Key': made.json.key } });
    const laptop = await watcher(b, { headers: ann.headers });
    const from = phone.frames.length;
    await ann.call('DELETE', `/api/keys/${made.json.hash}`);
    for (let i = 0; i < 5; i++) await ann.call('POST', '/api/threads', { id: fresh() });
    await laptop.heard('settings', { name: 'keys' });
    assert.equal(await within(phone.closed, 10_000), 1008);
    assert.deepEqual(phone.frames.slice(from), []);
    await laptop.close();
  });

  test('a turn whose owner died goes on in the other, which says so', async () => {
    const there = await watcher(b, { headers: ann.headers });
    const turn = await ann.chat('[tokens 60] [delay 40]', { wait: false });
    await there.heard('turn', { runId: turn.turn_id, state: 'running' });
    const from = there.frames.length;
    await a.kill();
    await there.next(isChange('turn', { runId: turn.turn_id, state: 'running' }), { from });
    await there.heard('turn', { runId: turn.turn_id, state: 'done' });
    await there.close();
    await a.begin();
  });

  test('a lost line to the database is "all"', async () => {
    const there = await watcher(b, { headers: ann.headers });
    await b.query("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN%'");
    await there.heard('all');
    await there.close();
  });
});
