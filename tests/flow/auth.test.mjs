// Who may call, and what each may see.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Adjutant, BACKENDS, eachBackend, EventStream, eventually, Fake, fresh, request, Socket } from './harness.mjs';

const SHARED = 'shared-key-abcdefghijklmnop';

eachBackend('open mode', (start) => {
  const g = start();
  const post = (headers) => g.post('/api/chat', { message: '[say x]' }, { headers });

  test('anybody on this machine is the default user', async () => {
    const me = (await g.get('/api/me')).json;
    assert.deepEqual([me.user_id, me.auth, me.via], ['me', 'open', 'open']);
    assert.equal((await g.get('/metrics')).status, 200);
  });

  test('pages from elsewhere are refused', async () => {
    const own = new URL(g.url).host;
    assert.equal((await post({ Origin: 'https://evil.example' })).status, 403);
    assert.equal((await post({ Origin: 'null' })).status, 403);
    assert.equal((await post({ 'Sec-Fetch-Site': 'cross-site' })).status, 403);
    assert.equal((await post({ Origin: `http://${own}` })).status, 200);
    assert.equal((await post({ 'Sec-Fetch-Site': 'same-origin' })).status, 200);
    for (const Host of ['evil.example', 'evil.example:8080', '127.0.0.1.evil.example', 'localhost.evil.example']) {
      assert.equal((await post({ Host })).status, 403, Host);
      assert.equal((await g.get('/api/threads', { headers: { Host } })).status, 403, Host);
    }
    assert.equal((await g.get('/api/threads', { headers: { Host: `localhost:${g.port}` } })).status, 200);
    await assert.rejects(g.socket({ origin: 'https://evil.example' }), { status: 403 });
    await (await g.socket({ origin: `http://${own}` })).close();
  });
}, ['sqlite']);

describe('open mode off loopback', () => {
  test('is refused at the start, saying what to set', async () => {
    const a = new Adjutant();
    a.options = { env: {}, provider: 'anthropic' };
    a.home = `/tmp/never-${process.pid}`;
    const r = await a.command(['serve', '--listen', '0.0.0.0:0', '--home', a.home]);
    assert.notEqual(r.code, 0);
    assert.match(r.stderr, /ASSISTANT_API_KEY/);
  });
});

eachBackend('one shared key', (start) => {
  const g = start({ key: SHARED, env: { ASSISTANT_API_KEY: SHARED } });
  const get = (path, headers = {}) => request(g.url, 'GET', path, { headers });

  test('in each of its places, and no other', async () => {
    assert.equal((await get('/api/me')).status, 401);
    assert.equal((await get('/api/me', { 'X-API-Key': 'wrong' })).status, 401);
    assert.equal((await get('/api/me', { Authorization: 'Basic eDp5' })).status, 401);
    assert.equal((await get('/api/me', { 'X-API-Key': SHARED })).status, 200);
    assert.equal((await get('/api/me', { Authorization: `Bearer ${SHARED}` })).status, 200);
    assert.equal((await get(`/api/me?api_key=${SHARED}`)).status, 200);
    assert.equal((await get('/api/me', { Cookie: `adjutant_session=${SHARED}` })).status, 401);
    await assert.rejects(Socket.open(g.url), { status: 401 });
    await (await Socket.open(g.url, { path: `/ws?api_key=${SHARED}` })).close();
  });

  test('what needs none, and what says no', async () => {
    assert.equal((await get('/api/health')).status, 200);
    assert.equal((await get('/')).status, 200);
    assert.equal((await get('/metrics')).status, 401);
    assert.equal((await get('/metrics', { 'X-API-Key': SHARED })).status, 200);
    for (const path of ['/api/threads', '/api/usage', '/api/models', '/api/turns/x', '/v1/models', '/api/openapi.json']) {
      assert.equal((await get(path)).status, 401, path);
    }
    const v1 = await get('/v1/models');
    assert.equal(v1.json.error.code, 'invalid_api_key');
    assert.equal((await g.get('/api/me')).json.auth, 'shared');
  });
}, ['sqlite']);

eachBackend('keys in the table', (start) => {
  const g = start();
  const me = (headers) => request(g.url, 'GET', '/api/me', { headers });

  async function create(...args) {
    const r = await g.command(['keys', 'create', ...args]);
    assert.equal(r.code, 0, r.stderr);
    assert.match(r.stdout, /^adj_[A-Za-z0-9_-]{43}\n$/);
    return r.stdout.trim();
  }

  test('the first one is seeded for the operator', async () => {
    const { json } = await g.get('/api/me');
    assert.deepEqual([json.user_id, json.role, json.auth, json.via, json.allow_operator_llm], ['me', 'admin', 'table', 'key', true]);
    assert.equal((await me({})).status, 401);
  });

  test('create, list, use, revoke', async () => {
    const key = await create('--user', 'ann', '--label', 'laptop');
    const ann = (await me({ 'X-API-Key': key })).json;
    assert.deepEqual([ann.user_id, ann.role, ann.allow_operator_llm], ['ann', 'personal', false]);
    const list = await g.command(['keys', 'list']);
    assert.match(list.stdout, /ann +personal +laptop/);
    assert.ok(!list.stdout.includes(key));
    assert.equal((await request(g.url, 'GET', '/metrics', { headers: { 'X-API-Key': key } })).status, 403);
    const hash = /^([0-9a-f]+) +ann/m.exec(list.stdout)[1];
    assert.equal((await g.command(['keys', 'revoke', hash])).code, 0);
    await eventually(async () => (await me({ 'X-API-Key': key })).status === 401, { deadlineMs: 15_000, everyMs: 300, what: 'the revocation' });
  });

  test('without a key for the model, and without the operator\'s leave', async () => {
    const key = await create('--user', 'poor');
    const r = await request(g.url, 'POST', '/api/chat', { headers: { 'X-API-Key': key }, body: { message: 'hi' } });
    assert.equal(r.status, 403);
    assert.equal(r.json.detail, 'No LLM key configured. Provide your own key or request operator access.');
  });

  test('a browser\'s session', async () => {
    const key = await create('--user', 'web', '--allow-operator-llm');
    const login = await request(g.url, 'POST', '/api/login', { body: { key } });
    assert.equal(login.status, 200);
    assert.equal(login.json.user_id, 'web');
    const [set] = login.headers['set-cookie'];
    assert.match(set, /^adjutant_session=/);
    for (const attribute of [/; HttpOnly/i, /; SameSite=Strict/i, /; Path=\//i]) assert.match(set, attribute);
    const Cookie = set.split(';')[0];
    const own = `http://${new URL(g.url).host}`;
    assert.deepEqual([(await me({ Cookie })).json.user_id, (await me({ Cookie })).json.via], ['web', 'cookie']);
    const post = (headers) => request(g.url, 'POST', '/api/chat', { headers: { Cookie, ...headers }, body: { message: '[say ok]' } });
    assert.equal((await post({})).status, 403);
    assert.equal((await post({ Origin: 'https://evil.example' })).status, 403);
    assert.equal((await post({ Origin: own })).status, 200);
    assert.equal((await post({ 'Sec-Fetch-Site': 'same-origin' })).status, 200);
    await assert.rejects(Socket.open(g.url, { headers: { Cookie }, origin: 'https://evil.example' }), { status: 403 });
    await (await Socket.open(g.url, { headers: { Cookie }, origin: own })).close();
    const logout = await request(g.url, 'POST', '/api/logout', { headers: { Cookie, Origin: own } });
    assert.equal(logout.status, 204);
    assert.equal((await me({ Cookie })).status, 401);
  });

  test('a session ends with its key', async () => {
    const key = await create('--user', 'gone', '--label', 'gone');
    const login = await request(g.url, 'POST', '/api/login', { body: { key } });
    const Cookie = login.headers['set-cookie'][0].split(';')[0];
    assert.equal((await me({ Cookie })).status, 200);
    const hash = /^([0-9a-f]+) +gone/m.exec((await g.command(['keys', 'list'])).stdout)[1];
    await g.command(['keys', 'revoke', hash]);
    await eventually(async () => (await me({ Cookie })).status === 401, { deadlineMs: 15_000, everyMs: 300, what: 'the session\'s end' });
  });

  test('two users never meet', async () => {
    const [ann, bob] = await Promise.all(['ann', 'bob'].map(async (user) => {
      const headers = { 'X-API-Key': await create('--user', user, '--allow-operator-llm') };
      const call = (method, path, body, more = {}) => request(g.url, method, path, { body, headers: { ...headers, ...more } });
      return { headers, call };
    }));
    const [thread, turn] = [fresh('ann'), fresh('ann-turn')];
    const hers = (await ann.call('POST', '/api/chat', { message: 'ANNS-SECRET [say noted]', thread_id: thread, turn_id: turn })).json;
    assert.equal(hers.state, 'done');

    for (const [method, path, body] of [
      ['GET', `/api/threads/${thread}`], ['PATCH', `/api/threads/${thread}`, { title: 'mine' }], ['DELETE', `/api/threads/${thread}`],
      ['POST', `/api/threads/${thread}/cancel`], ['GET', `/api/threads/${thread}/checkpoints`], ['POST', `/api/threads/${thread}/fork`, { turn_id: turn }],
      ['GET', `/api/turns/${turn}`], ['GET', `/api/turns/${turn}/events`], ['POST', `/api/turns/${turn}/cancel`],
    ]) {
      const r = await bob.call(method, path, body);
      assert.equal(r.status, 404, `${method} ${path}: ${r.text}`);
      assert.ok(!r.text.includes('ANNS-SECRET'));
    }
    assert.deepEqual((await bob.call('GET', '/api/threads')).json.threads, []);
    assert.deepEqual((await bob.call('GET', '/api/usage')).json.usage, []);

    const ws = await Socket.open(g.url, { headers: bob.headers });
    ws.send({ type: 'subscribe', ref: 's', runId: turn });
    assert.equal((await ws.next((f) => f.ref === 's')).problem.status, 404);
    await ws.close();

    // The same names are another thing for another user.
    const his = (await bob.call('POST', '/api/chat', { message: '[echo-messages]', thread_id: thread, turn_id: turn })).json;
    assert.match(his.message.content, /^1 messages/);
    const again = await EventStream.open(g.url, 'GET', `/api/turns/${turn}/events`, { headers: bob.headers });
    assert.ok(!JSON.stringify(await again.all()).includes('ANNS-SECRET'));
    assert.equal((await ann.call('GET', `/api/threads/${thread}`)).json.messages.length, 2);
    assert.equal((await bob.call('DELETE', `/api/threads/${thread}`)).status, 204);
    assert.equal((await ann.call('GET', `/api/threads/${thread}`)).status, 200);
  });
}, ['postgres']);

describe('guessing keys', { skip: !BACKENDS.includes('postgres') }, () => {
  test('is slowed down, and only for the one who guesses', async () => {
    const fake = await Fake.start();
    const g = await Adjutant.start({ backend: 'postgres', fake });
    try {
      const statuses = [];
      for (let i = 0; i < 15; i++) {
        statuses.push((await request(g.url, 'POST', '/api/login', { body: { key: `adj_guess${i}` }, headers: { 'X-Forwarded-For': '203.0.113.7' } })).status);
      }
      assert.deepEqual([statuses[0], statuses.at(-1)], [401, 429]);
      const late = await request(g.url, 'POST', '/api/login', { body: { key: 'adj_guess' }, headers: { 'X-Forwarded-For': '203.0.113.7' } });
      assert.ok(Number(late.headers['retry-after']) > 0);
      assert.equal((await g.get('/api/me')).status, 200);
    } finally {
      await g.stop();
      await fake.stop();
    }
  });
});
