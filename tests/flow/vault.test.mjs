// The vault: what users store, what comes back of it, and the keys it stands under.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Adjutant, BACKENDS, eachBackend, Fake, request, sleep } from './harness.mjs';

const KEY = ['Zmlyc3Qga2V5IG9mIHRoZSB2YXVsdCwgMzIgYnl0ZXM=', 'second-key-of-the-vault-a-passphrase', 'f'.repeat(64)];

async function user(g, name, ...args) {
  const r = await g.command(['keys', 'create', '--user', name, ...args]);
  assert.equal(r.code, 0, r.stderr);
  const headers = { 'X-API-Key': r.stdout.trim() };
  const ask = (method, url, body) => request(g.url, method, url, { headers, body });
  return {
    get: (url) => ask('GET', url),
    chat: (message) => ask('POST', '/api/chat', { message }),
    list: async () => (await ask('GET', '/api/credentials')).json.credentials,
    put: (service, value, more) => ask('PUT', `/api/credentials/${service}`, { value, ...more }),
    raw: (service, body) => ask('PUT', `/api/credentials/${service}`, body),
    delete: (service) => ask('DELETE', `/api/credentials/${service}`),
  };
}

eachBackend('credentials', (start, backend) => {
  const g = start({ env: { ASSISTANT_API_KEY: 'house-key-0123456789' }, key: 'house-key-0123456789' });
  let ann, bob;

  test('are stored, listed, replaced and deleted, each user\'s own', async () => {
    ann = await user(g, 'ann');
    bob = await user(g, 'bob');
    assert.deepEqual(await ann.list(), []);
    const put = await ann.put('google', { access_token: 'ya29.top-secret' }, { scopes: ['mail.read', 'calendar'], expires_at: '2031-05-06T07:08:09Z' });
    assert.equal(put.status, 200, put.text);
    assert.ok(!put.text.includes('top-secret'));
    const [entry] = await ann.list();
    assert.deepEqual({ ...entry, created_at: 0, updated_at: 0 },
      { service: 'google', scopes: ['mail.read', 'calendar'], expires_at: '2031-05-06T07:08:09.000000Z', created_at: 0, updated_at: 0 });
    assert.deepEqual(await bob.list(), []);
    assert.equal((await bob.delete('google')).status, 404);
    await sleep(2);
    assert.equal((await ann.put('google', { access_token: 'other' })).status, 200);
    const [again] = await ann.list();
    assert.equal(again.created_at, entry.created_at);
    assert.ok(again.updated_at > entry.updated_at);
    assert.deepEqual([again.scopes, again.expires_at], [[], null]);
    assert.equal((await ann.put('garmin', { oauth1: { a: 1 } })).status, 200);
    assert.deepEqual((await ann.list()).map((c) => c.service), ['garmin', 'google']);
    assert.equal((await ann.delete('garmin')).status, 204);
    assert.equal((await ann.get('/api/credentials/google')).status, 405, 'there is no way to read one');
  });

  test('each change is in the audit trail, without the value', async () => {
    const rows = await g.query("SELECT actor, action, subject, detail FROM audit WHERE user_id = 'ann' AND action LIKE 'credential.%' ORDER BY created_at");
    assert.deepEqual(rows.map((r) => [r[1], r[2]]), [['credential.put', 'google'], ['credential.put', 'google'], ['credential.put', 'garmin'], ['credential.delete', 'garmin']]);
    for (const [actor, , , detail] of rows) {
      assert.match(actor, /^ann key:[0-9a-f]{12}$/);
      assert.ok(!detail.includes('secret'));
    }
  });

  test('what is wrong is said', async () => {
    const cases = [
      [await ann.put('Google', {}), /service/], [await ann.put('a%20b', {}), /service/], [await ann.put('x'.repeat(65), {}), /service/],
      [await ann.raw('x', {}), /value/], [await ann.raw('x', { value: 'text' }), /value/], [await ann.raw('x', { value: [] }), /value/],
      [await ann.put('x', {}, { scopes: 'mail' }), /scopes/], [await ann.put('x', {}, { scopes: ['a b'] }), /scopes/], [await ann.put('x', {}, { scopes: [''] }), /scopes/],
      [await ann.put('x', {}, { scopes: Array(101).fill('a') }), /scopes/], [await ann.put('x', {}, { expires_at: 'soon' }), /expires_at/],
      [await ann.put('x', {}, { expires_at: 5 }), /expires_at/],
    ];
    for (const [r, what] of cases) {
      assert.ok(r.status === 400 || r.status === 404, `${r.status} ${r.text}`);
      assert.match(r.text, what);
    }
    const large = await ann.put('x', { text: 'a'.repeat(70_000) });
    assert.equal(large.status, 413, large.text);
    assert.equal((await ann.put('x', { text: 'a'.repeat(60_000) })).status, 200);
    assert.equal((await request(g.url, 'GET', '/api/credentials')).status, 401);
  });

  test('commands do the same beside the server', async () => {
    const vault = (args, input) => g.command(['vault', ...args], { input });
    const put = await vault(['put', 'splitwise', '--user', 'ann', '--scopes', 'read write', '--expires', '2031-01-01T00:00:00Z'], '{"api_key":"from-the-pipe"}');
    assert.equal(put.code, 0, put.stderr);
    assert.deepEqual((await ann.list()).find((c) => c.service === 'splitwise').scopes, ['read', 'write']);
    const list = await vault(['list', '--user', 'ann']);
    assert.match(list.stdout, /splitwise +\d{4}-\d\d-\d\d \d\d:\d\d +2031-01-01 00:00 +read write/);
    assert.ok(!(put.stdout + put.stderr + list.stdout).includes('from-the-pipe'));
    assert.equal((await vault(['delete', 'splitwise', '--user', 'ann'])).code, 0);
    assert.equal((await vault(['delete', 'splitwise', '--user', 'ann'])).code, 1);
    assert.equal((await vault(['put', 'x', '--user', 'ann'], 'no json')).code, 1);
    assert.equal((await vault(['put', 'x', '--user', 'ann', '--expires', 'soon'], '{}')).code, 2);
    const status = await vault(['status']);
    assert.equal(status.code, 0, status.stderr);
    assert.match(status.stdout, /current/);
    assert.match(status.stdout, /2 credentials, 2 can be read/);
  });
});

eachBackend('keys of the vault', (start, backend) => {
  const g = start({ env: { CREDENTIALS_ENCRYPTION_KEY: KEY[0], ASSISTANT_API_KEY: 'house-key-0123456789' }, key: 'house-key-0123456789', fakeOptions: { args: ['--key', 'sk-fake-*'] } });
  const under = async () => Object.fromEntries((await g.query('SELECT encryption_key_id, COUNT(*) FROM user_credentials GROUP BY 1')).map(([id, n]) => [id, Number(n)]));
  const status = async (env) => g.command(['vault', 'status'], { env });
  let ann;

  test('a wrong key is told and overwrites nothing', async () => {
    ann = await user(g, 'ann');
    assert.equal((await ann.put('llm_anthropic', { api_key: 'sk-fake-ann' })).status, 200);
    await g.restart({ CREDENTIALS_ENCRYPTION_KEY: KEY[1] });
    assert.match(g.output, /error vault: stored credentials cannot be read/);
    const turn = await request(g.url, 'POST', '/api/chat', { headers: g.headers, body: { message: '[say x]' } });
    assert.equal(turn.status, 200, 'who has no key of their own is not concerned');
    const doctor = await g.command(['doctor'], { env: { CREDENTIALS_ENCRYPTION_KEY: KEY[1] } });
    assert.match(doctor.stdout, /FAIL +vault +1 of 1 credentials/);
    const overwrite = await ann.put('llm_anthropic', { api_key: 'sk-fake-new' });
    assert.equal(overwrite.status, 409, overwrite.text);
    assert.match(overwrite.json.detail, /key which is not set/);
    const wrong = await status({ CREDENTIALS_ENCRYPTION_KEY: KEY[1] });
    assert.equal(wrong.code, 1);
    assert.match(wrong.stdout, /not set here/);
    const before = await under();
    assert.equal((await g.command(['vault', 'rotate'], { env: { CREDENTIALS_ENCRYPTION_KEY: KEY[1] } })).code, 1);
    assert.deepEqual(await under(), before);
    await g.restart();
    assert.equal((await status()).code, 0);
  });

  test('one who cannot be read does not chat on the operator\'s key', async () => {
    const rich = await user(g, 'rich', '--allow-operator-llm');
    assert.equal((await rich.put('llm_anthropic', { api_key: 'sk-fake-rich' })).status, 200);
    await g.restart({ CREDENTIALS_ENCRYPTION_KEY: KEY[1] });
    await g.fake.clear();
    const r = await rich.chat('[say x]');
    assert.equal(r.status, 403, r.text);
    assert.match(r.json.detail, /another encryption key/);
    assert.equal((await g.fake.requests()).length, 0);
    await g.restart();
    assert.equal((await rich.chat('[say x]')).status, 200);
  });

  test('rows move as they are read, and the rest at once while users write', async () => {
    for (let i = 0; i < 40; i++) assert.equal((await ann.put(`s${i}`, { n: i })).status, 200);
    const old = Object.keys(await under())[0];
    const env = { CREDENTIALS_ENCRYPTION_KEY: KEY[1], CREDENTIALS_ENCRYPTION_KEY_OLD: KEY[0] };
    await g.restart(env);
    assert.equal((await ann.chat('[say x]')).status, 200);
    const lazily = await under();
    assert.equal(Object.keys(lazily).length, 2, JSON.stringify(lazily));
    let writing = true;
    const writes = (async () => {
      for (let n = 0; writing; n++) {
        const r = await ann.put(`s${n % 40}`, { n: 1000 + n });
        assert.equal(r.status, 200, r.text);
      }
    })();
    const rotate = await g.command(['vault', 'rotate'], { env });
    writing = false;
    await writes;
    assert.equal(rotate.code, 0, rotate.stderr);
    assert.match(rotate.stdout, /\d+ credentials brought under the current key/);
    const after = await under();
    assert.ok(!(old in after) && Object.keys(after).length === 1, JSON.stringify(after));
    await g.restart({ CREDENTIALS_ENCRYPTION_KEY: KEY[1] });
    assert.equal((await ann.chat('[say x]')).status, 200);
    assert.equal((await status({ CREDENTIALS_ENCRYPTION_KEY: KEY[1] })).code, 0);
  });

  test('killed in the middle of a rotation it loses nothing', async () => {
    let key = 1;
    for (let round = 1; round <= 6; round++) {
      const next = key === 1 ? 2 : 1;
      const env = { CREDENTIALS_ENCRYPTION_KEY: KEY[next], CREDENTIALS_ENCRYPTION_KEY_OLD: KEY[key] };
      const crashed = await g.command(['vault', 'rotate'], { env: { ...env, ADJUTANT_CRASH_AT: `${round * 6}${round % 2 ? ':after' : ''}` } });
      assert.notEqual(crashed.code, 0);
      const both = await status(env);
      assert.equal(both.code, 0, both.stdout + both.stderr);
      assert.equal((await g.command(['vault', 'rotate'], { env })).code, 0);
      key = next;
      const only = await status({ CREDENTIALS_ENCRYPTION_KEY: KEY[key] });
      assert.equal(only.code, 0, only.stdout);
      assert.match(only.stdout, /42 credentials, 42 can be read/);
    }
  });
});

describe('without a key', { concurrency: 1 }, () => {
  test('a local instance makes a file of its own, once', { skip: !BACKENDS.includes('sqlite') }, async () => {
    const fake = await Fake.start();
    const g = await Adjutant.start({ backend: 'sqlite', fake });
    try {
      const file = path.join(g.home, 'credentials.key');
      assert.equal(fs.statSync(file).mode & 0o7777, 0o600);
      const made = fs.readFileSync(file, 'utf8');
      assert.ok(g.output.includes(`file=${file}`), 'the log names it');
      assert.ok(!g.output.includes(made.trim()));
      assert.equal((await g.request('PUT', '/api/credentials/x', { body: { value: { a: 1 } } })).status, 200);
      await g.restart();
      assert.equal(fs.readFileSync(file, 'utf8'), made);
      assert.match((await g.command(['vault', 'status'])).stdout, /1 credentials, 1 can be read/);
      await g.stop();
      fs.chmodSync(file, 0o644);
      await g.begin({}, { ready: false });
      assert.deepEqual(await g.program.ended, { code: 3, signal: null });
      assert.match(g.program.output, /credentials\.key must be a file that only its owner can read/);
    } finally {
      await fake.stop();
    }
  });

  test('with PostgreSQL it does not start, and says what to set', { skip: !BACKENDS.includes('postgres') }, async () => {
    const fake = await Fake.start();
    const g = await Adjutant.start({ backend: 'postgres', fake });
    try {
      await g.stop();
      await g.begin({ CREDENTIALS_ENCRYPTION_KEY: '' }, { ready: false });
      assert.deepEqual(await g.program.ended, { code: 3, signal: null });
      assert.match(g.program.output, /CREDENTIALS_ENCRYPTION_KEY must be set.*openssl rand -base64 32/);
      const doctor = await g.command(['doctor'], { env: { CREDENTIALS_ENCRYPTION_KEY: '' } });
      assert.match(doctor.stdout, /FAIL +vault +CREDENTIALS_ENCRYPTION_KEY must be set/);
      assert.equal((await g.command(['keys', 'list'], { env: { CREDENTIALS_ENCRYPTION_KEY: '' } })).code, 0, 'commands that need no vault need no key');
      await g.begin({ CREDENTIALS_ENCRYPTION_KEY: 'too-short' }, { ready: false });
      assert.deepEqual(await g.program.ended, { code: 3, signal: null });
      assert.ok(!g.program.output.includes('too-short'));
    } finally {
      await fake.stop();
    }
  });
});
