// Who users say they are: stored, each user's own, and told to every turn of theirs.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Adjutant, eachBackend, eventually, fresh, request } from './harness.mjs';

const EMPTY = { name: null, time_zone: null, about: null, updated_at: null };

async function user(g, name, ...args) {
  const r = await g.command(['keys', 'create', '--user', name, ...args]);
  assert.equal(r.code, 0, r.stderr);
  const headers = { 'X-API-Key': r.stdout.trim() };
  const ask = (method, url, body, at = g.url) => request(at, method, url, { headers, body });
  return {
    headers,
    get: (url, at) => ask('GET', url, undefined, at),
    profile: async () => (await ask('GET', '/api/me/profile')).json,
    put: (body, at) => ask('PUT', '/api/me/profile', body, at),
    say: (message, more, at) => ask('POST', '/api/chat', { message, ...more }, at),
  };
}

/** The prompt of the newest request, its stable part and what changes. */
async function prompt(g) {
  const { body } = (await g.fake.requests(1))[0];
  const parts = Array.isArray(body.system) ? body.system.map((b) => b.text) : [body.system];
  return { stable: parts[0], all: parts.join('\n') };
}

const today = (timeZone) => new Intl.DateTimeFormat('en-GB', { timeZone, weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' })
  .format(new Date()).replace(',', '');

eachBackend('who the user is', (start, backend) => {
  const g = start({ key: backend === 'postgres' ? undefined : 'operator-of-the-house-1234', provider: 'anthropic',
    env: backend === 'postgres' ? {} : { ASSISTANT_API_KEY: 'operator-of-the-house-1234' } });
  let ann, bob;

  test('nobody has said anything yet', async () => {
    ann = await user(g, 'ann', '--allow-operator-llm');
    bob = await user(g, 'bob', '--allow-operator-llm');
    assert.deepEqual(await ann.profile(), EMPTY);
    const me = (await ann.get('/api/me')).json;
    assert.deepEqual([me.name, me.setup.profile], [null, false]);
    assert.equal((await ann.say('hi')).status, 200);
    assert.doesNotMatch((await prompt(g)).all, /Their name|Their time zone|want you to know/);
  });

  test('it is stored, and each turn from the next one on is told', async () => {
    const put = await ann.put({ name: '  Ann Å ', time_zone: 'Pacific/Kiritimati', about: 'I keep *bees*.\n\n- vegetarian\n' });
    assert.equal(put.status, 200, put.text);
    const { updated_at, ...rest } = put.json;
    assert.deepEqual(rest, { name: 'Ann Å', time_zone: 'Pacific/Kiritimati', about: 'I keep *bees*.\n\n- vegetarian' });
    assert.ok(Math.abs(Date.parse(updated_at) - Date.now()) < 60_000);
    assert.deepEqual(await ann.profile(), put.json);
    const me = (await ann.get('/api/me')).json;
    assert.deepEqual([me.name, me.setup.profile], ['Ann Å', true]);

    assert.equal((await ann.say('hi')).status, 200);
    const p = await prompt(g);
    assert.match(p.stable, /Their name is Ann Å\./);
    assert.match(p.stable, /Their time zone is Pacific\/Kiritimati\./);
    assert.match(p.stable, /I keep \*bees\*\.\n\n- vegetarian/);
    assert.doesNotMatch(p.stable, /Today is/);
    assert.ok(p.all.replace(/ +/g, ' ').includes(`Today is ${today('Pacific/Kiritimati').replace(/^(\w+) /, '$1, ')} (UTC+1400).`), p.all.slice(-200));
  });

  test('the tool that tells the time is in that zone', async () => {
    const r = await ann.say('[tool current_time {}]');
    assert.equal(r.status, 200, r.text);
    const { body } = (await g.fake.requests(1))[0];
    assert.match(JSON.stringify(body.messages.at(-1)), /\+14:00/);
  });

  test('what has not changed is asked of nobody: the prompt stays the same from turn to turn', async () => {
    const thread = fresh();
    await ann.say('one', { thread_id: thread });
    const first = (await prompt(g)).stable;
    await ann.say('two', { thread_id: thread });
    assert.equal((await prompt(g)).stable, first);
  });

  test('no other user sees or is told any of it', async () => {
    assert.deepEqual(await bob.profile(), EMPTY);
    assert.equal((await bob.say('hi')).status, 200);
    assert.doesNotMatch((await prompt(g)).all, /Ann|bees|Kiritimati/);
    assert.equal((await bob.put({ name: 'Bob' })).status, 200);
    assert.equal((await ann.profile()).name, 'Ann Å');
    assert.doesNotMatch(JSON.stringify((await g.get('/api/admin/audit', { headers: ann.headers })).json), /bees/);
  });

  test('it is replaced as a whole, and can be emptied', async () => {
    assert.equal((await ann.put({ name: 'Ann', about: null })).status, 200);
    const { updated_at, ...rest } = await ann.profile();
    assert.deepEqual(rest, { name: 'Ann', time_zone: null, about: null });
    assert.ok(updated_at);
    assert.equal((await ann.put({})).status, 200);
    const me = (await ann.get('/api/me')).json;
    assert.deepEqual([me.name, me.setup.profile], [null, true], 'who would rather not say is not asked again');
    await ann.say('hi');
    assert.doesNotMatch((await prompt(g)).all, /Ann|Their name|Kiritimati/);
  });

  test('the user\'s other clients are told that it changed', async () => {
    const ws = await g.socket({ headers: ann.headers });
    ws.send({ type: 'watch', ref: 'w' });
    await ws.next((f) => f.ref === 'w' && f.type === 'ok');
    assert.equal((await ann.put({ name: 'Told' })).status, 200);
    await ws.next((f) => f.type === 'changed' && f.what === 'settings' && f.name === 'profile', 'the change');
    await ws.close();
  });

  test('what is wrong is refused, by its name, and changes nothing', async () => {
    assert.equal((await ann.put({ name: 'Before' })).status, 200);
    const zones = ['Mars/Olympus', '../../etc/passwd', '/etc/localtime', 'Europe', 'zone.tab', 'posixrules\n', ':UTC', 'Europe/Vienna/', 'x'.repeat(5000)];
    const bad = [
      ...zones.map((time_zone) => ['time_zone', { time_zone }]), ['time_zone', { time_zone: 5 }],
      ['name', { name: 'two\nlines' }], ['name', { name: 'x'.repeat(201) }], ['name', { name: ['x'] }],
      ['about', { about: 'x'.repeat(16 * 1024 + 1) }], ['about', { about: { a: 1 } }], ['about', { about: 'x'.repeat(90_000) }],
    ];
    for (const [member, body] of bad) {
      const r = await ann.put(body);
      assert.equal(r.status, 400, `${JSON.stringify(body).slice(0, 80)}: ${r.text}`);
      assert.ok(r.json.detail.includes(member), r.text);
    }
    assert.equal((await ann.put([1])).status, 400);
    assert.equal((await ann.put({ about: 'x'.repeat(200_000) })).status, 413);
    assert.deepEqual({ ...await ann.profile(), updated_at: 0 }, { name: 'Before', time_zone: null, about: null, updated_at: 0 });
  });

  test('the longest text is kept and told whole', async () => {
    const about = `${'wörter und sätze. '.repeat(720)}ende`;
    assert.ok(Buffer.byteLength(about) <= 16 * 1024 && Buffer.byteLength(about) > 14 * 1024);
    assert.equal((await ann.put({ about })).status, 200);
    assert.equal((await ann.profile()).about, about);
    await ann.say('hi');
    assert.ok((await prompt(g)).stable.includes(about));
  });

  test('nobody without a key is told anything', async () => {
    for (const url of ['/api/me', '/api/me/profile']) {
      const r = await request(g.url, 'GET', url);
      assert.equal(r.status, 401);
      assert.doesNotMatch(r.text, /setup|profile|wörter/);
    }
    assert.equal((await request(g.url, 'PUT', '/api/me/profile', { body: { name: 'x' } })).status, 401);
  });
});

eachBackend('who the user is, in every process', (start, backend) => {
  const g = start({ provider: 'anthropic' });

  test('what is said in one counts in the other', async () => {
    const other = await Adjutant.start({ ...g.options, backend, fake: g.fake, db: g.db });
    try {
      const ann = await user(g, 'ann', '--allow-operator-llm');
      assert.equal((await ann.say('hi', {}, other.url)).status, 200);
      for (const name of ['First', 'Second']) {
        assert.equal((await ann.put({ name })).status, 200);
        await eventually(async () => {
          await ann.say('hi', {}, other.url);
          return (await prompt(g)).stable.includes(`Their name is ${name}.`);
        }, { what: `${name} in the other process` });
      }
    } finally {
      await other.stop();
    }
  });
}, ['postgres']);

eachBackend('what is set up', (start) => {
  const open = start({ provider: 'anthropic' });
  const bare = start({ mcp: null, env: { ANTHROPIC_BASE_URL: undefined, ANTHROPIC_API_KEY: undefined, LLM_MODEL: undefined } });

  test('with the operator\'s key', async () => {
    const { setup, auth } = (await open.get('/api/me')).json;
    assert.equal(setup.configured, true);
    assert.match(setup.model, /^anthropic:/);
    assert.equal(setup.key_owner, 'operator');
    assert.equal(setup.problem, null);
    if (auth === 'open') assert.match(setup.mcp_config, /mcp\.json$/);
  });

  test('with nobody\'s', async () => {
    const { setup } = (await bare.get('/api/me')).json;
    assert.deepEqual([setup.configured, setup.model, setup.key_owner], [false, null, null]);
    assert.match(setup.problem, /No LLM key configured/);
    assert.equal(setup.mcp_servers, 0);
  });

  test('the servers of mcp.json are counted, those that nobody asked for are not', async () => {
    const file = path.join(bare.home, 'mcp.json');
    assert.equal(fs.existsSync(file), false);
    fs.writeFileSync(file, JSON.stringify({ mcpServers: { a: { url: 'http://127.0.0.1:1/mcp' }, b: { url: 'http://127.0.0.1:1/mcp' }, off: { url: 'http://127.0.0.1:1/mcp', disabled: true } } }), { mode: 0o600 });
    await eventually(async () => (await bare.get('/api/me')).json.setup.mcp_servers === 2, { what: 'the new file', deadlineMs: 20_000 });
  });
});
