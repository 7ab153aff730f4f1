// Bad input: a clear 4xx everywhere, no crash, no leak (the sanitizers watch).
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { eachBackend, fresh } from './harness.mjs';

const deep = (n) => `${'{"a":'.repeat(n)}1${'}'.repeat(n)}`;
const BODIES = {
  'no JSON': ['{"message":', 400],
  'text': ['hello', 400],
  'an array': ['[]', 400],
  'a number': ['42', 400],
  'two values': ['{} {}', 400],
  'a body too deep': [`{"x":${deep(100)}}`, 400],
  'a body very deep': [`{"x":${'['.repeat(200_000)}`, 400],
  'the same key twice': ['{"message":"a","message":"b"}', 400],
  'bad UTF-8': [Buffer.concat([Buffer.from('{"message":"'), Buffer.from([0xff, 0xfe, 0xc0, 0x80]), Buffer.from('"}')]), 400],
  'a lone surrogate': ['{"message":"\\ud800"}', 400],
  'NUL': ['{"message":"a\\u0000b"}', 400],
};
const long = (n) => 'x'.repeat(n);

// Every route with a JSON body: its path and bodies that have wrong types.
const ROUTES = [
  ['POST', '/api/chat', [{}, { message: 1 }, { message: null }, { message: '' }, { message: ['x'] }, { message: long(256 * 1024 + 1) },
    { message: 'x', thread_id: 7 }, { message: 'x', thread_id: long(129) }, { message: 'x', thread_id: 'a b' }, { message: 'x', thread_id: 'a/b' },
    { message: 'x', thread_id: 'ü' }, { message: 'x', turn_id: {} }, { message: 'x', turn_id: long(200) }, { message: 'x', wait: 'no' },
    { message: 'x', model: 5 }, { message: 'x', agent: [] }, { content: [] }, { content: 'x' }, { content: [{}] }, { content: [{ type: 'text' }] },
    { content: [{ type: 'video', text: 'x' }] }, { content: [{ type: 'image', media_type: 'image/bmp', data: 'AAAA' }] },
    { content: [{ type: 'image', media_type: 'image/png', data: 'not base64!' }] }, { content: [{ type: 'image', url: 'file:///etc/passwd' }] },
    { content: [{ type: 'image', url: 'http://127.0.0.1/x' }] }, { content: Array(33).fill({ type: 'text', text: 'x' }) },
    { message: 'x', content: [{ type: 'text', text: 'x' }] }]],
  ['POST', '/api/threads', [{ id: 1 }, { id: '' }, { id: long(129) }, { id: 'a b' }, { title: 5 }, { title: long(401) }]],
  ['PATCH', '/api/threads/THREAD', [{ title: 5 }, { title: long(401) }, { archived: 'yes' }, { archived: 1 }]],
  ['POST', '/api/threads/THREAD/fork', [{}, { turn_id: 5 }, { turn_id: 'x', thread_id: 3 }, { turn_id: 'x', thread_id: 'a b' }]],
  ['POST', '/api/login', [{}, { key: 5 }, { key: null }]],
  ['POST', '/agui', [{}, { threadId: 't', runId: 'r' }, { threadId: 't', runId: 'r', messages: [] }, { threadId: 't', runId: 'r', messages: 'x' },
    { threadId: 5, runId: 'r', messages: [{ id: '1', role: 'user', content: 'x' }] }, { threadId: 't', runId: 'r', messages: [{ id: '1', role: 'assistant', content: 'x' }] },
    { threadId: 't', runId: 'r', messages: [{ id: '1', role: 'user', content: 5 }] }, { threadId: 't', runId: 'r', messages: [{ id: '1', role: 'user', content: [{ type: 'binary' }] }] }]],
  ['POST', '/v1/chat/completions', [{}, { model: 'adjutant' }, { model: 'adjutant', messages: [] }, { model: 5, messages: [{ role: 'user', content: 'x' }] },
    { model: 'adjutant', messages: 'x' }, { model: 'adjutant', messages: [{ role: 'user' }] }, { model: 'adjutant', messages: [{ role: 'user', content: 5 }] },
    { model: 'adjutant', messages: [{ role: 'assistant', content: 'x' }] }, { model: 'adjutant', messages: [{ role: 'user', content: [{ type: 'audio' }] }] },
    { model: 'adjutant', stream: 'yes', messages: [{ role: 'user', content: 'x' }] }, { model: 'adjutant', n: 2, messages: [{ role: 'user', content: 'x' }] },
    { model: 'adjutant', user: 5, messages: [{ role: 'user', content: 'x' }] }]],
  ['POST', '/v1/responses', [{}, { model: 'adjutant' }, { model: 'adjutant', input: 5 }, { model: 'adjutant', input: [] },
    { model: 'adjutant', input: [{ role: 'user', content: 5 }] }, { model: 'adjutant', input: 'x', stream: 'yes' }]],
];
const METHODS = {
  '/api/chat': ['POST'], '/api/threads': ['GET', 'POST'], '/api/threads/THREAD': ['GET', 'PATCH', 'DELETE'], '/api/threads/THREAD/cancel': ['POST'],
  '/api/threads/THREAD/checkpoints': ['GET'], '/api/threads/THREAD/fork': ['POST'], '/api/turns/x': ['GET'], '/api/turns/x/events': ['GET'],
  '/api/turns/x/cancel': ['POST'], '/api/login': ['POST'], '/api/logout': ['POST'], '/api/me': ['GET'], '/api/credentials': ['GET'], '/api/credentials/x': ['PUT', 'DELETE'], '/api/models': ['GET'], '/api/usage': ['GET'],
  '/api/health': ['GET'], '/metrics': ['GET'], '/api/openapi.json': ['GET'], '/ws': ['GET'], '/agui': ['POST'], '/v1/models': ['GET'],
  '/v1/chat/completions': ['POST'], '/v1/responses': ['POST'],
};

function checkError(r, statuses, what) {
  assert.ok([statuses].flat().includes(r.status), `${what}: ${r.status} ${r.text.slice(0, 300)}`);
  if (what.includes('/v1/')) {
    assert.equal(typeof r.json?.error?.message, 'string', `${what}: ${r.text.slice(0, 200)}`);
    assert.ok('type' in r.json.error && 'code' in r.json.error && 'param' in r.json.error, what);
  } else {
    assert.match(r.headers['content-type'], /^application\/problem\+json/, what);
    assert.equal(r.json.status, r.status, what);
    for (const member of ['type', 'title', 'code']) assert.equal(typeof r.json[member], 'string', `${what}: ${member}`);
    assert.ok(r.headers['x-request-id'], what);
    // The server's own refusals, before a handler has the request, do not repeat it in the body.
    assert.equal(r.json.request_id ?? r.headers['x-request-id'], r.headers['x-request-id'], what);
  }
  assert.doesNotMatch(r.text, /src\/|\.c:\d|sqlite|SQLSTATE|jansson/i, what);
}

eachBackend('bad input', (start) => {
  const g = start();
  const thread = fresh();
  const at = (path) => path.replace('THREAD', thread);

  test('bodies that are no JSON objects', async () => {
    await g.chat('[say x]', { thread_id: thread });
    for (const [method, path] of ROUTES) {
      for (const [name, [body, status]] of Object.entries(BODIES)) {
        checkError(await g.request(method, at(path), { body }), [status, 413], `${method} ${path}, ${name}`);
      }
      if (path !== '/api/threads') { // a thread can be made of nothing
        checkError(await g.request(method, at(path), { body: '', headers: { 'Content-Type': 'application/json' } }), 400, `${method} ${path}, empty`);
      }
      for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/jsonx']) {
        checkError(await g.request(method, at(path), { body: '{}', headers: { 'Content-Type': type } }), 415, `${method} ${path}, ${type}`);
      }
    }
  });

  test('bodies that are too large', async () => {
    const huge = JSON.stringify({ message: long(9 * 1024 * 1024) });
    for (const [method, path] of ROUTES) {
      let r;
      try {
        r = await g.request(method, at(path), { body: huge });
      } catch (e) {
        assert.match(e.code ?? '', /ECONNRESET|EPIPE/, `${path}: ${e}`); // the answer may be lost while we still send
        continue;
      }
      checkError(r, 413, `${method} ${path}, huge`);
    }
    const chunked = await raw(g, `POST /api/chat HTTP/1.1\r\nHost: x\r\n${auth(g)}Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n`);
    assert.match(chunked, /^HTTP\/1.1 413/);
  });

  test('members of wrong types', async () => {
    for (const [method, path, bodies] of ROUTES) {
      for (const body of bodies) {
        const what = `${method} ${path} ${JSON.stringify(body).slice(0, 120)}`;
        checkError(await g.request(method, at(path), { body }), [400, 401, 404], what);
      }
    }
  });

  test('wrong methods', async () => {
    for (const [path, allowed] of Object.entries(METHODS)) {
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) {
        if (allowed.includes(method)) continue;
        const r = await g.request(method, at(path), method === 'GET' ? {} : { body: '{}' });
        checkError(r, 405, `${method} ${path}`);
        for (const m of allowed) assert.match(r.headers.allow, new RegExp(`\\b${m}\\b`), `${method} ${path}`);
      }
    }
  });

  test('paths and parameters', async () => {
    for (const path of ['/nothing', '/api', '/api/', '/api/chat/x', '/api/threads/none', '/api/threads/none/checkpoints', '/api/turns/none', '/api/turns/none/events',
      `/api/turns/${long(400)}`, '/api/threads/%20', '/api/threads/a%2Fb', '/v1/models/none', '/v1/none', '/static/none', '/static/..%2f..%2fetc%2fpasswd', '/api/threads/%F0%9F%98%80']) {
      checkError(await g.get(path), [404, 400], path);
    }
    for (const path of ['/api/threads?limit=0', '/api/threads?limit=x', '/api/threads?limit=101', '/api/threads?cursor=%00', '/api/threads?cursor=rubbish',
      `/api/threads/${thread}?limit=-1`, `/api/threads/${thread}?before=x`, `/api/threads/${thread}/checkpoints?limit=0`, '/api/usage?from=yesterday', '/api/usage?to=2026-13-45T00:00:00Z',
      '/api/threads?limit=%zz', '/api/threads?limit=%ff']) {
      checkError(await g.get(path), 400, path);
    }
    for (const [method, path] of [['POST', '/api/turns/none/cancel'], ['POST', '/api/threads/none/cancel'], ['DELETE', '/api/threads/none']]) {
      checkError(await g.request(method, path), 404, `${method} ${path}`);
    }
    checkError(await g.post('/api/threads/none/fork', { turn_id: 'x' }), 404, 'fork of nothing');
    checkError(await g.request('PATCH', '/api/threads/none', { body: { title: 'x' } }), 404, 'patch of nothing');
  });

  test('an agent and a model that nobody has', async () => {
    checkError(await g.post('/api/chat', { message: 'x', agent: 'nobody' }), 404, 'agent');
    checkError(await g.post('/api/threads', { id: thread }), 409, 'a thread that exists');
  });

  test('frames of the WebSocket', async () => {
    const ws = await g.socket();
    await ws.type('hello');
    const frames = ['not json', '[]', '42', '{}', { type: 5 }, { type: 'nonsense' }, { type: 'chat' }, { type: 'chat', message: 5 }, { type: 'chat', message: '' },
      { type: 'chat', message: 'x', threadId: 'a b' }, { type: 'chat', message: 'x', threadId: 7 }, { type: 'chat', message: long(256 * 1024 + 1) },
      { type: 'cancel' }, { type: 'cancel', runId: 'none' }, { type: 'cancel', runId: 5 }, { type: 'subscribe' }, { type: 'subscribe', runId: 'none' },
      { type: 'subscribe', runId: 'none', since: 'x' }, { type: 'subscribe', runId: 'none', since: -1 }, { type: 'unsubscribe' }, deep(100),
      '{"type":"ping","type":"ping"}', '{"type":"chat","message":"\\u0000"}'];
    for (const frame of frames) {
      const from = ws.frames.length;
      ws.send(frame);
      const answer = await ws.next((f) => f.type === 'error', { from });
      assert.ok(answer.problem.status >= 400 && answer.problem.status < 500, `${JSON.stringify(frame).slice(0, 80)}: ${JSON.stringify(answer)}`);
    }
    ws.send({ type: 'ping' });
    await ws.type('pong');
    for (const [bytes, options, code] of [[Buffer.from([1, 2, 3]), { binary: true }, 1003], [Buffer.from([0x22, 0xff, 0x22]), { binary: false }, 1007],
      [long(9 * 1024 * 1024), {}, 1009]]) {
      const victim = await g.socket();
      victim.ws.on('error', () => {});
      victim.ws.send(bytes, options);
      assert.ok([code, 1006].includes(await victim.closed), `${code}: ${victim.closeCode}`);
    }
    await ws.close();
  });

  test('too many subscriptions', async () => {
    const ws = await g.socket();
    const { maxSubscriptions: n } = await ws.type('hello');
    const runs = await Promise.all(Array.from({ length: n + 1 }, () => g.chat('[hang]', { thread_id: fresh(), wait: false })));
    for (const [i, r] of runs.entries()) {
      ws.send({ type: 'subscribe', ref: String(i), runId: r.turn_id });
      assert.equal((await ws.next((f) => f.ref === String(i))).type, i < n ? 'ok' : 'error', `number ${i}`);
    }
    await Promise.all(runs.map((r) => g.post(`/api/turns/${r.turn_id}/cancel`)));
    await Promise.all(runs.map((r) => g.ended(r.turn_id)));
    await ws.close();
  });

  test('too many open turns of one user', async () => {
    const taken = [];
    let refused;
    for (let i = 0; i < 2000 && !refused; i++) {
      const r = await g.post('/api/chat', { message: '[hang]', thread_id: 'crowd', wait: false });
      if (r.status === 202) taken.push(r.json.turn_id);
      else refused = r;
    }
    checkError(refused, 429, 'the turn above the limit');
    assert.ok(Number(refused.headers['retry-after']) > 0);
    assert.equal((await g.post('/api/threads/crowd/cancel')).status, 202);
    await g.ended(taken[0]);
    await g.ended(taken.at(-1));
    assert.equal((await g.chat('[say again]', { thread_id: fresh() })).message.content, 'again');
  });

  test('and it still answers', async () => {
    assert.equal((await g.chat('[say still here]')).message.content, 'still here');
    assert.equal((await g.get('/api/health')).json.status, 'ok');
  });
});

const auth = (g) => (g.headers['X-API-Key'] ? `X-API-Key: ${g.headers['X-API-Key']}\r\n` : '');

function raw(g, bytes) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(g.port, '127.0.0.1');
    let text = '';
    socket.setTimeout(10_000, () => socket.destroy());
    socket.on('data', (d) => { text += d; if (text.includes('\r\n\r\n')) socket.destroy(); });
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
    socket.write(bytes);
  });
}
