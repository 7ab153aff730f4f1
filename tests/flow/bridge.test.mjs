// Each user's own connections to MCP servers: whose credential arrives where, what a dead server
// costs, and what is done again when one comes back.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createUser, eachBackend, eventually, freePort, McpServer, McpStdio, sleep, tools } from './harness.mjs';

const state = async (u, name, wait = 0) => {
  const r = await u.call('GET', `/api/connections?wait_ms=${wait}`);
  assert.equal(r.status, 200, r.text);
  return r.json.connections.find((c) => c.name === name);
};
const reaches = (u, name, wanted) => eventually(async () => (await state(u, name))?.state === wanted, { what: `${name} ${wanted}` });
const store = async (u, service, value) => {
  const r = await u.call('PUT', `/api/credentials/${service}`, { value });
  assert.ok(r.status === 200 || r.status === 201 || r.status === 204, r.text);
};
/** Users with keys. An open instance takes some seconds to see that it is open no more. */
async function users(g, ...names) {
  const all = await Promise.all(names.map((u) => createUser(g, u)));
  await eventually(async () => (await g.request('GET', '/api/credentials')).status === 401 || g.db, { what: 'keys that count' });
  return all;
}
const header = (server, name) => [...new Set(server.requests.map((r) => r.headers[name]))];

eachBackend('bridge', (start) => {
  let shared, plain;
  before(async () => {
    shared = await McpServer.start({ name: 'shared', tools: Object.values(tools) });
    plain = await McpServer.start({ name: 'plain', era: 'legacy', tools: [tools.echo, tools.whoami] });
  });
  after(async () => {
    await shared.stop();
    await plain.stop();
  });
  const g = start({
    mcp: () => ({
      shared: shared.definition({
        headers: { 'X-Fixed': 'fixed' },
        credential: { service: 'shared', header: 'Authorization', value: 'Bearer {access_token}' },
      }),
      plain: plain.definition({ credential: { service: 'plain', header: 'X-Whole', value: '{*}' } }),
    }),
  });
  let ann, bob, cid, dan;
  before(async () => {
    [ann, bob, cid, dan] = await users(g, 'ann', 'bob', 'cid', 'dan');
    await store(ann, 'shared', { access_token: 'token-equal' });
    await store(bob, 'shared', { access_token: 'token-equal' });
    await store(cid, 'shared', { access_token: 'token-of-cid' });
    await store(ann, 'plain', { a: 'anns', ü: 'é' });
    await store(cid, 'plain', { c: 'cids' });
  });

  test('every request carries its own user\'s credential and nobody else\'s', async () => {
    shared.clear();
    plain.clear();
    await state(ann, 'shared', 5000);
    const seen = { ann: shared.requests.length, plain: plain.requests.length };
    assert.ok(seen.ann >= 2 && seen.plain >= 2, 'era and tools');
    assert.deepEqual(header(shared, 'authorization'), ['Bearer token-equal']);
    assert.deepEqual(header(plain, 'x-whole'), ['{"a":"anns","\\u00fc":"\\u00e9"}']);

    shared.clear();
    plain.clear();
    await state(bob, 'shared', 5000);
    assert.ok(shared.requests.length >= 2, 'an equal credential is no reason to share what was found out');
    assert.deepEqual(header(shared, 'authorization'), ['Bearer token-equal']);
    assert.deepEqual(header(plain, 'x-whole'), [undefined], 'bob has none: the server is used without');

    shared.clear();
    await state(cid, 'shared', 5000);
    assert.deepEqual(header(shared, 'authorization'), ['Bearer token-of-cid']);
    shared.clear();
    await state(dan, 'shared', 5000);
    assert.deepEqual(header(shared, 'authorization'), [undefined]);
    assert.deepEqual(header(shared, 'x-fixed'), ['fixed']);
    for (const server of [shared, plain]) {
      assert.deepEqual(server.violations, []);
      for (const r of server.requests) {
        const all = JSON.stringify(r.headers) + r.path + r.text;
        for (const u of [ann, bob, cid, dan]) assert.ok(!all.includes(u.headers['X-API-Key']), 'our own key is never passed on');
        assert.ok(!/cookie|x-forwarded/i.test(Object.keys(r.headers).join()));
      }
    }
  });

  test('so does every call of a turn', async () => {
    const asked = { ann: 'Bearer token-equal', bob: 'Bearer token-equal', cid: 'Bearer token-of-cid', dan: undefined };
    shared.clear();
    await Promise.all([ann, bob, cid, dan].map((u) => u.chat(`[tool shared_whoami {"user":"${u.user}"}]`)));
    const calls = shared.called('whoami');
    assert.equal(calls.length, 4);
    for (const c of calls) assert.equal(c.headers.authorization, asked[c.arguments.user], c.arguments.user);
    // A token that changes between two calls of the same user.
    await store(ann, 'shared', { access_token: 'token-of-ann-now' });
    shared.clear();
    await ann.chat('[tool shared_whoami {"user":"ann"}]');
    assert.deepEqual(shared.called('whoami').map((c) => c.headers.authorization), ['Bearer token-of-ann-now']);
    shared.clear();
    await bob.chat('[tool shared_whoami {"user":"bob"}]');
    assert.deepEqual(shared.called('whoami').map((c) => c.headers.authorization), ['Bearer token-equal']);
    await store(ann, 'shared', { access_token: 'token-equal' });
  });

  test('a call that runs when its credential changes is finished', async () => {
    shared.clear();
    const slow = ann.chat('[tool wait {"ms":1500}]');
    await eventually(() => shared.called('wait').length === 1, { what: 'the call' });
    await store(ann, 'shared', { access_token: 'token-in-between' });
    await ann.chat('[tool shared_whoami {"user":"ann"}]');
    assert.deepEqual(shared.called('whoami').map((c) => c.headers.authorization), ['Bearer token-in-between']);
    await slow;
    assert.equal(shared.called('wait')[0].outcome, 'result');
    assert.equal(shared.called('wait').length, 1);
    await store(ann, 'shared', { access_token: 'token-equal' });
  });

  test('sessions are a user\'s own', async () => {
    const sessions = new Map();
    plain.clear();
    for (const u of [ann, bob, cid]) {
      await u.call('POST', '/api/connections/plain/reconnect', {});
      for (const r of plain.requests) {
        if (r.session) sessions.set(r.session, (sessions.get(r.session) ?? new Set()).add(r.headers['x-whole']));
      }
    }
    assert.ok(sessions.size >= 3);
    for (const users of sessions.values()) assert.equal(users.size, 1);
  });

  test('what is to be seen of a connection', async () => {
    const c = await state(ann, 'shared', 5000);
    assert.deepEqual([c.state, c.era, c.version, c.error, c.retry_at], ['ready', 'modern', '2026-07-28', null, null]);
    assert.deepEqual(c.credential, { service: 'shared', stored: true });
    assert.equal(c.server.name, 'shared');
    assert.equal(c.tools, Object.values(tools).length);
    const p = await state(bob, 'plain', 5000);
    assert.deepEqual([p.state, p.era, p.version, p.credential.stored], ['ready', 'legacy', '2025-11-25', false]);
    const list = (await ann.call('GET', '/api/connections/shared/tools')).json;
    const echo = list.tools.find((t) => t.name === 'echo');
    assert.deepEqual([echo.read_only, echo.destructive, echo.quarantine], [true, false, null]);
    assert.deepEqual(echo.input_schema, tools.echo.inputSchema);
    assert.equal((await ann.call('GET', '/api/connections/nowhere/tools')).status, 404);
    assert.equal((await ann.call('POST', '/api/connections/nowhere/reconnect', {})).status, 404);
    const metrics = (await g.command(['doctor'])).stdout;
    assert.match(metrics, /ok +tools +2 servers/);
  });

  test('a changed credential takes effect at once, a deleted one too', async () => {
    await state(dan, 'shared', 5000);
    await store(dan, 'shared', { access_token: 'dans-first' });
    shared.clear();
    await state(dan, 'shared', 5000);
    assert.deepEqual(header(shared, 'authorization'), ['Bearer dans-first']);
    await store(dan, 'shared', { access_token: 'dans-second' });
    shared.clear();
    await state(dan, 'shared', 5000);
    assert.deepEqual(header(shared, 'authorization'), ['Bearer dans-second']);
    assert.equal((await dan.call('DELETE', '/api/credentials/shared', {})).status, 204);
    shared.clear();
    const c = await state(dan, 'shared', 5000);
    assert.deepEqual([c.state, c.credential.stored], ['ready', false]);
    assert.deepEqual(header(shared, 'authorization'), [undefined]);
    // The others were not touched.
    shared.clear();
    assert.equal((await state(ann, 'shared')).state, 'ready');
    await sleep(100);
    assert.deepEqual(shared.requests.filter((r) => r.headers.authorization), []);
  });

  test('a credential that does not fit is told, and is no reason to go without', async () => {
    shared.clear();
    await store(dan, 'shared', { token: 'dans-third' });
    const c = await state(dan, 'shared', 5000);
    assert.equal(c.state, 'unauthorized');
    assert.match(c.error, /"shared" .*access_token/);
    assert.ok(!c.error.includes('dans-third'));
    assert.deepEqual(shared.requests, []);
    await dan.call('DELETE', '/api/credentials/shared', {});
    await reaches(dan, 'shared', 'ready');
  });

  test('nothing of a credential is in the log or the database\'s plain text', async () => {
    for (const secret of ['token-equal', 'token-of-cid', 'dans-second', 'dans-third']) {
      assert.ok(!g.output.includes(secret), secret);
    }
  });
});

eachBackend('bridge, servers that fail', (start) => {
  let live, dying, silent, picky;
  before(async () => {
    live = await McpServer.start({ name: 'live', tools: [tools.echo] });
    dying = await McpServer.start({ name: 'dying', tools: [tools.echo] });
    silent = await McpServer.start({ name: 'silent', tools: [tools.echo], hostile: { '*': async () => {} } });
    picky = await McpServer.start({
      name: 'picky',
      tools: [tools.echo, { name: 'bad', inputSchema: { type: 'string' } }, { ...tools.echo }, { name: `${'n'.repeat(200)}` }, { name: 'fine' }],
    });
  });
  after(() => Promise.all([live, silent, picky].map((s) => s.stop())));
  let nowhere;
  const g = start({
    env: { ADJUTANT_MCP_IDLE_S: '2' },
    mcp: () => ({
      nowhere: { url: `http://127.0.0.1:${nowhere}/mcp` },
      silent: silent.definition({}),
      live: live.definition(),
      dying: dying.definition(),
      picky: picky.definition(),
      missing: { command: '/nowhere/at/all' },
    }),
    before: async () => { nowhere = await freePort(); },
  });
  const me = { call: (method, path, body) => g.request(method, path, { body }) };

  test('a live server is ready beside dead ones', async () => {
    const c = await state(me, 'live', 2000);
    assert.equal(c.state, 'ready');
    assert.equal((await state(me, 'silent')).state, 'connecting');
    await reaches(me, 'nowhere', 'unreachable');
    assert.match((await state(me, 'nowhere')).error, /127\.0\.0\.1/);
    await reaches(me, 'missing', 'unreachable');
  });

  test('bad tools stay out one by one, each with its reason', async () => {
    await reaches(me, 'picky', 'ready');
    const c = await state(me, 'picky');
    assert.equal(c.tools, 2);
    assert.deepEqual(c.quarantined.map((q) => q.reason.split(' ').slice(0, 3).join(' ')),
      ['its inputSchema is', 'another tool of', 'its name is']);
    const all = (await me.call('GET', '/api/connections/picky/tools')).json.tools;
    assert.deepEqual(all.map((t) => t.quarantine === null), [true, false, false, false, true]);
  });

  test('who hangs is waited for once', async () => {
    const c = await state(me, 'silent', 300);
    assert.ok(['connecting', 'unreachable'].includes(c.state));
    await reaches(me, 'silent', 'unreachable');
  });

  test('a server that goes away and comes back', async () => {
    await reaches(me, 'dying', 'ready');
    await dying.stop();
    const gone = (await me.call('POST', '/api/connections/dying/reconnect', {})).json;
    assert.equal(gone.state, 'unreachable');
    assert.ok(gone.error && gone.retry_at);
    assert.equal(gone.tools, 1, 'what it could do is still known');
    await dying.begin();
    await reaches(me, 'dying', 'ready'); // by itself
    dying.clear();
    await g.chat('[tool dying_echo {"message":"again"}]');
    assert.equal(dying.executions('echo'), 1);
    await dying.stop();
    // The breaker: the first call meets the dead server, the next are answered without it.
    const thread = (await g.chat('[tool dying_echo {"message":"1"}] [then] [tool dying_echo {"message":"2"}]')).thread_id;
    const results = (await g.messages(thread)).filter((m) => m.role === 'tool').map((m) => JSON.stringify(m.content));
    assert.equal(results.length, 2);
    assert.match(results[1], /tried again in \d+ s/);
  });

  test('unused connections are closed, and opened when they are needed again', async () => {
    await reaches(me, 'live', 'ready');
    const metric = async (name) => Number(new RegExp(`^adjutant_${name} (\\d+)`, 'm').exec((await g.get('/metrics')).text)?.[1]);
    assert.ok(await metric('mcp_connections') >= 2);
    await eventually(async () => await metric('mcp_connections') === 0, { what: 'all closed', everyMs: 300 });
    live.clear();
    assert.equal((await state(me, 'live', 3000)).tools, 1);
    await reaches(me, 'live', 'ready');
    assert.ok(live.requests.length > 0);
  });

  test('another mcp.json is taken over without a restart', async () => {
    await reaches(me, 'live', 'ready');
    g.configure({ live: live.definition(), fresh: picky.definition() });
    await eventually(async () => (await state(me, 'fresh'))?.state === 'ready', { what: 'the new server' });
    assert.equal(await state(me, 'nowhere'), undefined);
  });
});

eachBackend('bridge, without a file', (start) => {
  const g = start({ mcp: null });
  const me = { call: (method, path, body) => g.request(method, path, { body }) };

  test('the five standard servers are off until they are reachable', async () => {
    const r = await me.call('GET', '/api/connections?wait_ms=10000');
    assert.deepEqual(r.json.connections.map((c) => c.name), ['journal-db', 'garmin', 'google-workspace', 'google-places', 'splitwise']);
    for (const c of r.json.connections) assert.equal(c.state, 'unreachable');
    assert.doesNotMatch(g.output, / warn +(?!fiber:)\S/, 'that they are away is normal'); // a busy machine is told by fiber
    assert.equal((await g.chat('[say hello]')).state, 'done');
  });
});

describe('bridge, a program that is given a user\'s credential', () => {
  eachBackend('stdio', (start) => {
    const stdio = new McpStdio();
    const g = start({ mcp: () => ({ local: stdio.definition({ env: { LEVEL: '3' }, credential: { service: 'local', env: 'LOCAL_TOKEN', value: '{token}' } }) }) });

    test('each user has a process', async () => {
      const [ann, bob] = await users(g, 'ann', 'bob');
      await store(ann, 'local', { token: 'anns' });
      assert.equal((await state(ann, 'local', 5000)).state, 'ready');
      assert.equal((await state(bob, 'local', 5000)).state, 'ready');
      const starts = stdio.log().filter((l) => l.start);
      assert.deepEqual(starts.map((l) => l.env.LOCAL_TOKEN), ['anns', undefined]);
      for (const { env } of starts) {
        assert.equal(env.LEVEL, '3');
        for (const name of Object.keys(env)) assert.ok(!/KEY|DB_URL|SECRET/.test(name), `${name} is none of its business`);
      }
    });
  });
});
