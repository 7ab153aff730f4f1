// Keys, sessions, users, usage and the audit trail: what admins do, and what nobody else may.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Adjutant, BACKENDS, eachBackend, eventually, Fake, fresh, request, sha256, Socket } from './harness.mjs';

const SHARED = 'shared-key-abcdefghijklmnop';
const HASH = /^[0-9a-f]{12}$/;

/** What a holder of a key does. */
function caller(g, key, more = {}) {
  const headers = { 'X-API-Key': key, ...more };
  const call = (method, path, body) => request(g.url, method, path, { body, headers });
  return {
    key, headers, hash: sha256(key).slice(0, 12), call,
    get: (path) => call('GET', path), post: (path, body) => call('POST', path, body),
    patch: (path, body) => call('PATCH', path, body), delete: (path) => call('DELETE', path),
  };
}

async function login(g, key) {
  const r = await request(g.url, 'POST', '/api/login', { body: { key } });
  assert.equal(r.status, 200, r.text);
  return { Cookie: r.headers['set-cookie'][0].split(';')[0], Origin: g.url };
}

const trail = async (admin, user) => (await admin.get(`/api/admin/audit?user=${user}&limit=200`)).json.entries;

eachBackend('administration', (start) => {
  const g = start({ env: { ASSISTANT_API_KEY: SHARED }, key: SHARED });
  const boss = () => caller(g, SHARED);
  async function make(user, more = {}) {
    const r = await boss().post('/api/admin/keys', { user_id: user, ...more });
    assert.equal(r.status, 201, r.text);
    return caller(g, r.json.key);
  }

  test('a key is made, listed, changed and revoked, and each change is in the trail', async () => {
    const user = fresh('ann');
    const made = (await boss().post('/api/admin/keys', { user_id: user, label: 'laptop' })).json;
    assert.match(made.key, /^adj_[\w-]{43}$/);
    assert.equal(made.hash, sha256(made.key).slice(0, 12));
    assert.deepEqual([made.user_id, made.role, made.label, made.revoked, made.allow_operator_llm, made.last_used_at, made.closed_instance],
      [user, 'personal', 'laptop', false, false, null, false]);
    const ann = caller(g, made.key);
    assert.deepEqual([(await ann.get('/api/me')).json.user_id, (await ann.get('/api/me')).json.allow_operator_llm], [user, false]);

    const changed = await boss().patch(`/api/admin/keys/${made.hash}`, { allow_operator_llm: true, label: 'phone' });
    assert.equal(changed.status, 200);
    assert.deepEqual([changed.json.allow_operator_llm, changed.json.label], [true, 'phone']);
    assert.equal((await ann.get('/api/me')).json.allow_operator_llm, true, 'what was remembered of the key is gone at once');
    assert.equal((await boss().patch(`/api/admin/keys/${made.hash}`, { label: '' })).json.label, null);

    const listed = (await boss().get(`/api/admin/keys?user=${user}`)).json.keys;
    assert.equal(listed.length, 1);
    assert.ok(listed[0].last_used_at);
    assert.ok(!JSON.stringify(listed).includes(made.key));

    const revoked = await boss().post(`/api/admin/keys/${made.hash}/revoke`);
    assert.deepEqual([revoked.status, revoked.json.revoked], [200, true]);
    assert.equal((await ann.get('/api/me')).status, 401, 'at once');
    assert.equal((await boss().post(`/api/admin/keys/${made.hash}/revoke`)).status, 200);

    const entries = await trail(boss(), user);
    assert.deepEqual(entries.map((e) => e.action), ['key.revoke', 'key.change', 'key.change', 'key.create']);
    for (const e of entries) {
      assert.deepEqual([e.user_id, e.subject], [user, made.hash]);
      assert.ok(e.actor.startsWith('me'), e.actor);
      assert.ok(!JSON.stringify(e).includes(made.key));
    }
    assert.deepEqual(entries.at(-1).detail, { role: 'personal', label: 'laptop', allow_operator_llm: false });
    assert.deepEqual(entries[2].detail, { allow_operator_llm: true, label: 'phone' });
  });

  test('what makes no sense is refused', async () => {
    for (const [body, status] of [
      [{}, 400], [{ user_id: '' }, 400], [{ user_id: 'x'.repeat(129) }, 400], [{ user_id: 'a\nb' }, 400], [{ user_id: 7 }, 400],
      [{ user_id: 'x', role: 'emperor' }, 400], [{ user_id: 'x', label: 'a\tb' }, 400], [{ user_id: 'x', allow_operator_llm: 'yes' }, 400],
    ]) {
      const r = await boss().post('/api/admin/keys', body);
      assert.equal(r.status, status, JSON.stringify(body));
    }
    const key = await make(fresh('odd'));
    for (const [path, body, status] of [
      [key.hash, {}, 400], [key.hash, { label: 5 }, 400], ['0'.repeat(12), { label: 'x' }, 404], ['zzzzzzzzzzzz', { label: 'x' }, 400], ['abc', { label: 'x' }, 400],
    ]) {
      assert.equal((await boss().patch(`/api/admin/keys/${path}`, body)).status, status, `${path} ${JSON.stringify(body)}`);
    }
    for (const query of ['cursor=x', 'limit=0', 'limit=201', 'cursor=5.a%20b']) {
      assert.equal((await boss().get(`/api/admin/keys?${query}`)).status, 400, query);
    }
    assert.equal((await boss().get('/api/admin/usage?by=thread')).status, 400);
    assert.equal((await boss().get('/api/admin/audit?user=a%0Ab')).status, 400);
  });

  test('everything under /api/admin is for admins only', async () => {
    const personal = await make(fresh('eve'), { allow_operator_llm: true }), internal = await make(fresh('cos'), { role: 'cos_internal' });
    const other = await make(fresh('bob'));
    for (const c of [personal, internal]) {
      for (const [method, path, body] of [
        ['GET', '/api/admin/keys'], ['POST', '/api/admin/keys', { user_id: 'eve', role: 'admin' }], ['PATCH', `/api/admin/keys/${c.hash}`, { allow_operator_llm: true }],
        ['POST', `/api/admin/keys/${other.hash}/revoke`], ['GET', '/api/admin/users'], ['GET', '/api/admin/usage'], ['GET', '/api/admin/audit'],
      ]) {
        const r = await c.call(method, path, body);
        assert.equal(r.status, 403, `${method} ${path}: ${r.text}`);
        assert.ok(!r.text.includes(other.hash));
      }
    }
    assert.equal((await other.get('/api/me')).status, 200);
    for (const path of ['/api/admin/keys', '/api/admin/users', '/api/keys', '/api/sessions']) {
      assert.equal((await request(g.url, 'GET', path)).status, 401, path);
    }
  });

  test('one has keys of one\'s own, never worth more, and nobody else\'s', async () => {
    const [ann, bob] = [await make(fresh('ann'), { allow_operator_llm: true }), await make(fresh('bob'))];
    const second = (await ann.post('/api/keys', { label: 'phone', role: 'admin', user_id: 'boss', allow_operator_llm: true })).json;
    const me = (await ann.get('/api/me')).json;
    assert.deepEqual([second.user_id, second.role, second.allow_operator_llm], [me.user_id, 'personal', true]);
    assert.equal((await bob.post('/api/keys')).json.allow_operator_llm, false);
    const own = (await ann.get('/api/keys')).json.keys;
    assert.deepEqual(own.map((k) => [k.hash, k.current]), [[second.hash, false], [ann.hash, true]]);
    assert.equal((await bob.delete(`/api/keys/${second.hash}`)).status, 404);
    assert.equal((await caller(g, second.key).get('/api/me')).status, 200);
    assert.equal((await ann.delete(`/api/keys/${second.hash}`)).status, 204);
    assert.equal((await caller(g, second.key).get('/api/me')).status, 401);
    assert.equal((await ann.delete(`/api/keys/${ann.hash}`)).status, 204, 'also the one in use');
    assert.equal((await ann.get('/api/me')).status, 401);
    const entries = await trail(boss(), me.user_id);
    assert.deepEqual(entries.map((e) => [e.action, e.subject, e.actor]).slice(0, 3), [
      ['key.revoke', ann.hash, `${me.user_id} key:${ann.hash}`], ['key.revoke', second.hash, `${me.user_id} key:${ann.hash}`],
      ['key.create', second.hash, `${me.user_id} key:${ann.hash}`],
    ]);
  });

  test('one sees and ends one\'s sessions, and their sockets are closed', async () => {
    const [ann, bob] = [await make(fresh('ann')), await make(fresh('bob'))];
    const first = await login(g, ann.key), second = await login(g, ann.key), his = await login(g, bob.key);
    const list = (cookie) => request(g.url, 'GET', '/api/sessions', { headers: cookie });
    const sessions = (await list(second)).json.sessions;
    assert.deepEqual(sessions.map((s) => [s.current, s.key]), [[true, ann.hash], [false, ann.hash]]);
    assert.ok(sessions.every((s) => HASH.test(s.id)));
    const [socket, other] = [await Socket.open(g.url, { headers: { Cookie: first.Cookie }, origin: g.url }), await Socket.open(g.url, { headers: { Cookie: second.Cookie }, origin: g.url })];
    await Promise.all([socket.type('hello'), other.type('hello')]);
    assert.equal((await request(g.url, 'DELETE', `/api/sessions/${sessions[1].id}`, { headers: his })).status, 404);
    assert.equal((await request(g.url, 'DELETE', `/api/sessions/${sessions[1].id}`, { headers: { Cookie: second.Cookie } })).status, 403, 'a page of somebody else');
    assert.equal((await request(g.url, 'DELETE', `/api/sessions/${sessions[1].id}`, { headers: second })).status, 204);
    assert.equal(await socket.closed, 1008);
    assert.equal((await list(first)).status, 401);
    assert.equal((await list(second)).json.sessions.length, 1);
    other.send({ type: 'ping' });
    await other.type('pong');

    // The key itself: what came in with it goes.
    assert.equal((await boss().post(`/api/admin/keys/${ann.hash}/revoke`)).status, 200);
    assert.equal(await other.closed, 1008);
    assert.equal((await list(second)).status, 401);
    assert.equal((await list(his)).json.sessions.length, 1);
  });

  test('an open socket goes with its key, and only with it', async () => {
    const [ann, bob] = [await make(fresh('ann')), await make(fresh('bob'))];
    const [hers, his] = await Promise.all([ann, bob].map((c) => Socket.open(g.url, { headers: c.headers })));
    await Promise.all([hers.type('hello'), his.type('hello')]);
    await boss().post(`/api/admin/keys/${ann.hash}/revoke`);
    assert.equal(await hers.closed, 1008);
    his.send({ type: 'ping' });
    await his.type('pong');
    await his.close();
  });

  test('users and usage are counts and sums', async () => {
    const ann = await make(fresh('ann'), { allow_operator_llm: true });
    const user = (await ann.get('/api/me')).json.user_id;
    const before = (await boss().get('/api/admin/usage?by=model')).json.usage.reduce((n, u) => n + u.calls, 0);
    assert.equal((await ann.post('/api/chat', { message: 'SECRET-PLAN [say ok]' })).status, 200);
    assert.equal((await ann.post('/api/chat', { message: 'SECRET-PLAN [say ok]' })).status, 200);
    const users = [];
    for (let cursor = ''; cursor !== undefined;) {
      const page = (await boss().get(`/api/admin/users?limit=3&cursor=${encodeURIComponent(cursor)}`.replace(/&cursor=$/, ''))).json;
      users.push(...page.users);
      cursor = page.next_cursor;
    }
    assert.equal(new Set(users.map((u) => u.user_id)).size, users.length);
    const hers = users.find((u) => u.user_id === user);
    assert.deepEqual([hers.threads, hers.valid_keys], [2, 1]);
    assert.ok(hers.last_activity_at && hers.created_at && hers.input_tokens > 0 && hers.output_tokens > 0);
    const byUser = (await boss().get('/api/admin/usage')).json;
    const row = byUser.usage.find((u) => u.user_id === user);
    assert.deepEqual([row.key_owner, row.calls, row.input_tokens, row.output_tokens], ['operator', 2, hers.input_tokens, hers.output_tokens]);
    const byModel = (await boss().get('/api/admin/usage?by=model')).json.usage;
    assert.equal(byModel.reduce((n, u) => n + u.calls, 0), before + 2);
    assert.ok(byModel.every((u) => u.model && u.user_id === undefined));
    assert.deepEqual((await boss().get('/api/admin/usage?to=2020-01-01T00:00:00Z')).json.usage, []);
    for (const path of ['users', 'usage', 'usage?by=model', 'audit', 'keys']) {
      assert.ok(!(await boss().get(`/api/admin/${path}`)).text.includes('SECRET-PLAN'), path);
    }
  });

  test('lists come in pages', async () => {
    const user = fresh('many');
    const made = [];
    for (let i = 0; i < 5; i++) made.push((await make(user)).hash);
    for (const [path, name, field] of [['/api/admin/keys', 'keys', 'hash'], ['/api/admin/audit', 'entries', 'subject']]) {
      const seen = [];
      for (let cursor; ;) {
        const page = (await boss().get(`${path}?user=${user}&limit=2${cursor ? `&cursor=${cursor}` : ''}`)).json;
        assert.ok(page[name].length <= 2);
        seen.push(...page[name].map((x) => x[field]));
        cursor = page.next_cursor;
        if (!cursor) break;
      }
      assert.deepEqual(seen, made.toReversed?.() ?? [...made].reverse(), path);
    }
  });

  test('the command line writes to the trail too', async () => {
    const user = fresh('cli');
    const made = await g.command(['keys', 'create', '--user', user, '--label', 'from the shell']);
    const key = caller(g, made.stdout.trim());
    assert.equal((await key.get('/api/me')).json.user_id, user);
    assert.equal((await g.command(['keys', 'allow-operator-llm', key.hash, 'on'])).code, 0);
    assert.equal((await g.command(['keys', 'revoke', key.hash])).code, 0);
    assert.deepEqual((await trail(boss(), user)).map((e) => [e.actor, e.action, e.subject]), [
      ['cli', 'key.revoke', key.hash], ['cli', 'key.change', key.hash], ['cli', 'key.create', key.hash]]);
    await eventually(async () => (await key.get('/api/me')).status === 401, { deadlineMs: 15_000, everyMs: 200, what: 'the end of the key' });
  });
});

describe('the last key of an admin', { skip: !BACKENDS.includes('postgres') }, () => {
  test('can\'t be revoked over the API', async () => {
    const fake = await Fake.start();
    const g = await Adjutant.start({ backend: 'postgres', fake });
    try {
      const boss = caller(g, g.headers['X-API-Key']);
      for (const r of [await boss.post(`/api/admin/keys/${boss.hash}/revoke`), await boss.delete(`/api/keys/${boss.hash}`)]) {
        assert.equal(r.status, 409);
        assert.match(r.json.detail, /last valid key of an admin/);
      }
      assert.equal((await boss.get('/api/me')).status, 200);
      const second = caller(g, (await boss.post('/api/admin/keys', { user_id: 'deputy', role: 'admin' })).json.key);
      assert.equal((await second.post(`/api/admin/keys/${boss.hash}/revoke`)).status, 200);
      assert.equal((await boss.get('/api/me')).status, 401);
      assert.equal((await second.post(`/api/admin/keys/${second.hash}/revoke`)).status, 409);
      const cli = await g.command(['keys', 'revoke', second.hash]);
      assert.equal(cli.code, 0);
      assert.match(cli.stderr, /No key of an admin is left/);
    } finally {
      await g.stop();
      await fake.stop();
    }
  });

  test('another process hears of a revoked key and closes its sockets', async () => {
    const fake = await Fake.start();
    const g = await Adjutant.start({ backend: 'postgres', fake });
    const other = await Adjutant.start({ backend: 'postgres', fake, db: g.db, postgres: g.postgres });
    try {
      const boss = caller(g, g.headers['X-API-Key']);
      const ann = caller(other, (await boss.post('/api/admin/keys', { user_id: 'ann' })).json.key);
      const socket = await Socket.open(other.url, { headers: ann.headers });
      assert.equal((await ann.get('/api/me')).status, 200);
      await boss.post(`/api/admin/keys/${ann.hash}/revoke`);
      await eventually(async () => (await ann.get('/api/me')).status === 401, { deadlineMs: 5_000, everyMs: 20, what: 'the end of the key' });
      assert.equal(await socket.closed, 1008);
    } finally {
      await Promise.all([g.stop(), other.stop()]);
      await fake.stop();
    }
  });
});

describe('an open instance', { skip: !BACKENDS.includes('sqlite') }, () => {
  test('is closed by its first key, which must be an admin\'s', async () => {
    const fake = await Fake.start();
    const g = await Adjutant.start({ backend: 'sqlite', fake });
    try {
      const socket = await g.socket();
      await socket.type('hello');
      assert.deepEqual((await g.get('/api/admin/users')).json.users, []);
      await g.chat('[say x]');
      assert.deepEqual((await g.get('/api/admin/users')).json.users.map((u) => [u.user_id, u.threads]), [['me', 1]]);
      assert.deepEqual((await g.get('/api/sessions')).json.sessions, []);
      const refused = await g.post('/api/admin/keys', { user_id: 'ann' });
      assert.equal(refused.status, 409);
      assert.match(refused.json.detail, /admin/);
      const first = await g.post('/api/keys', { label: 'mine' });
      assert.equal(first.status, 201);
      assert.deepEqual([first.json.role, first.json.user_id, first.json.allow_operator_llm, first.json.closed_instance], ['admin', 'me', true, true]);
      assert.equal((await g.get('/api/me')).status, 401);
      assert.equal(await socket.closed, 1008, 'it had no key');
      const boss = caller(g, first.json.key);
      assert.deepEqual([(await boss.get('/api/me')).json.auth, (await boss.get('/api/me')).json.role], ['table', 'admin']);
      assert.equal((await boss.post(`/api/admin/keys/${boss.hash}/revoke`)).status, 409);
      assert.equal((await boss.post('/api/admin/keys', { user_id: 'ann' })).json.closed_instance, false);
      const [entry] = (await boss.get('/api/admin/audit?user=me')).json.entries;
      assert.deepEqual([entry.actor, entry.action], ['me', 'key.create']);
    } finally {
      await g.stop();
      await fake.stop();
    }
  });
});
