// What a provider has to choose from, read from it live; and Ollama under an address of one's own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eachBackend, eventually, request, sha256 } from './harness.mjs';

const OPERATOR = 'sk-fake-operator-0000000000000000';
const HOUSE = 'operator-of-the-house-1234';

async function user(g, name, ...args) {
  const r = await g.command(['keys', 'create', '--user', name, ...args]);
  assert.equal(r.code, 0, r.stderr);
  const headers = { 'X-API-Key': r.stdout.trim() };
  const ask = (method, path, body) => request(g.url, method, path, { headers, body });
  return {
    headers,
    get: (path) => ask('GET', path),
    put: (service, value) => ask('PUT', `/api/credentials/${service}`, { value }),
    delete: (service) => ask('DELETE', `/api/credentials/${service}`),
    discover: (body) => ask('POST', '/api/models/discover', body),
    say: (message, more) => ask('POST', '/api/chat', { message, ...more }),
  };
}

const houseEnv = (backend) => (backend === 'postgres' ? {} : { ASSISTANT_API_KEY: HOUSE });
const houseKey = (backend) => (backend === 'postgres' ? undefined : HOUSE);
const ids = (r) => r.json.models.map((m) => m.id);
const ok = (r, status = 200) => {
  assert.equal(r.status, status, r.text);
  return r;
};

eachBackend('models to choose from', (start, backend) => {
  const g = start({ key: houseKey(backend), fakeOptions: { key: OPERATOR, args: ['--key', 'sk-fake-*'] }, env: (fake) => ({ ...fake.everything(), ...houseEnv(backend) }) });
  const discover = (body) => g.request('POST', '/api/models/discover', { body });
  const list = (how) => `${g.fake.url}/lists/${how}/v1`;
  const key = 'sk-fake-mine-1';
  let ann;

  test('each provider\'s own list, with the key that is given', async () => {
    for (const [provider, path] of [['anthropic', '/v1/models'], ['openai', '/v1/models'], ['ollama', '/api/tags']]) {
      await g.fake.clear();
      const r = ok(await discover({ provider, api_key: key }));
      assert.deepEqual(r.json, { models: [{ id: 'fake-1' }, { id: 'fake-mini' }] }, provider);
      const [seen, ...more] = await g.fake.requests();
      assert.equal(more.length, 0);
      assert.equal(seen.path.split('?')[0].replace(/^\/lists\/\w+/, ''), path);
      assert.equal(seen.headers.key_sha256, sha256(key));
      assert.equal(seen.headers.accept, 'application/json');
      assert.ok(!r.text.includes(key));
    }
    assert.deepEqual(ids(ok(await discover({ provider: 'claude', api_key: key }))), ['fake-1', 'fake-mini']);
  });

  test('what is good for conversation comes first, what is not does not come', async () => {
    const r = ok(await discover({ provider: 'openai', api_key: key, base_url: list('many') }));
    assert.deepEqual(ids(r), ['gpt-6-sol', 'gpt-5', 'some-model:free', 'claude-opus-5-5', 'qwen3:8b', 'gpt-5-2025-08-07']);
    const ollama = ok(await discover({ provider: 'ollama', base_url: `${g.fake.url}/lists/many` }));
    assert.equal(ids(ollama)[0], 'qwen3:8b');
    assert.ok(!ids(ollama).some((id) => /embed|bge|whisper/.test(id)));
    assert.deepEqual(ok(await discover({ provider: 'openai', api_key: key, base_url: list('bare') })).json.models, [{ id: 'a/chat', name: 'A Chat' }]);
    assert.deepEqual(ids(ok(await discover({ provider: 'openai', api_key: key, base_url: list('empty') }))), []);
  });

  test('a list of thousands is cut, one without end refused', async () => {
    const r = ok(await discover({ provider: 'openai', api_key: key, base_url: list('huge') }));
    assert.equal(r.json.models.length, 500);
    for (const how of ['endless', 'deep', 'broken', 'html', 'moved']) {
      const bad = await discover({ provider: 'openai', api_key: key, base_url: list(how) });
      assert.equal(bad.status, 502, `${how}: ${bad.text}`);
      assert.match(bad.json.detail, /OpenAI.*check the base URL/, how);
    }
    assert.equal((await g.get('/api/health')).status, 200);
  });

  test('an error says what the provider said, and what to do', async () => {
    const cases = [
      ['down', 502, /out of order or overloaded.*503.*currently overloaded/], ['limited', 502, /limits how often.*429.*Rate limit reached/],
      ['absent', 502, /no list of models at this address.*name the model yourself/],
    ];
    for (const [how, status, words] of cases) {
      const r = await discover({ provider: 'openai', api_key: key, base_url: list(how) });
      assert.equal(r.status, status, r.text);
      assert.match(r.json.detail, words);
    }
    const closed = await discover({ provider: 'openai', api_key: key, base_url: 'http://127.0.0.1:1/v1' });
    assert.equal(closed.status, 502);
    assert.match(closed.json.detail, /cannot be reached.*127\.0\.0\.1:1/);
    for (const provider of ['anthropic', 'openai']) {
      const r = await discover({ provider, api_key: 'sk-wrong-key-123' });
      assert.equal(r.status, 400, 'never 401, which would say that the caller is not known');
      assert.match(r.json.detail, /^api_key: \w+ does not accept the API key/i);
      assert.ok(!r.text.includes('sk-wrong-key'));
    }
  });

  test('a slow one is given up', async () => {
    const t = Date.now();
    const r = await discover({ provider: 'ollama', base_url: `${g.fake.url}/lists/slow` });
    assert.equal(r.status, 502, r.text);
    assert.match(r.json.detail, /did not answer in time/);
    assert.ok(Date.now() - t < 25_000);
  });

  test('without a key: one\'s own stored one, else the operator\'s where that is allowed, else none', async () => {
    ann = await user(g, 'ann');
    const none = await ann.discover({ provider: 'anthropic' });
    assert.equal(none.status, 403);
    assert.match(none.json.detail, /No LLM key configured/);
    ok(await ann.put('llm_anthropic', { api_key: 'sk-fake-ann' }));
    await g.fake.clear();
    ok(await ann.discover({ provider: 'anthropic' }));
    assert.equal((await g.fake.requests(1))[0].headers.key_sha256, sha256('sk-fake-ann'));
    assert.equal((await ann.discover({ provider: 'openai' })).status, 403, 'the operator\'s key is not hers');
    assert.equal((await ann.discover({ provider: 'ollama' })).status, 403, 'nor the house\'s Ollama');
    assert.equal((await ann.discover({ provider: 'ollama', api_key: 'anything' })).status, 403, 'which a key does not open');
    await g.fake.clear();
    ok(await discover({ provider: 'openai' }));
    assert.equal((await g.fake.requests(1))[0].headers.key_sha256, sha256(OPERATOR));
    ok(await ann.delete('llm_anthropic'), 204);
  });

  test('a stored key goes to no address that comes with the request', async () => {
    ok(await g.request('PUT', '/api/credentials/llm_openai', { body: { value: { api_key: 'sk-fake-stored' } } }));
    await g.fake.clear();
    const r = await discover({ provider: 'openai', base_url: list('many') });
    assert.equal(r.status, 400, r.text);
    assert.match(r.json.detail, /wants an API key/);
    for (const seen of await g.fake.requests()) assert.equal(seen.headers.key_sha256, undefined);
    ok(await g.request('DELETE', '/api/credentials/llm_openai'), 204);
  });

  test('where others than admins may send the gateway', async () => {
    const urls = ['http://example.com/v1', 'https://127.0.0.1', 'https://localhost/v1', 'https://[::1]/', 'https://10.0.0.7:8443/v1', 'https://0x7f.1', 'https://router',
      'https://a@b.example', 'https://nas.local/v1', 'https://db.internal', 'https://a.example?x=1', 'ftp://a.example', 'https://2130706433', g.fake.url];
    await g.fake.clear();
    for (const provider of ['openai', 'ollama']) {
      for (const base_url of urls) {
        const r = await ann.discover({ provider, api_key: key, base_url });
        assert.equal(r.status, 400, `${base_url}: ${r.text}`);
        assert.match(r.json.detail, /^base_url: /);
      }
    }
    assert.equal((await g.fake.requests()).length, 0);
    for (const body of [{}, { provider: 'none' }, { provider: 5 }, { provider: 'openai', api_key: 'a b' }, { provider: 'openai', api_key: 5 }, { provider: 'openai', base_url: 'nonsense' }]) {
      assert.equal((await discover(body)).status, 400, JSON.stringify(body));
    }
    assert.equal((await request(g.url, 'POST', '/api/models/discover', { body: { provider: 'openai', api_key: key } })).status, 401);
  });

  test('no key stands in the log', async () => {
    await eventually(() => g.output.includes('/api/models/discover'), { what: 'the log' });
    for (const secret of [key, 'sk-wrong-key', 'sk-fake-ann', 'sk-fake-stored', OPERATOR]) assert.ok(!g.output.includes(secret), secret);
  });
});

eachBackend('Ollama of one\'s own', (start, backend) => {
  const g = start({ key: houseKey(backend), fakeOptions: { key: OPERATOR, args: ['--key', 'sk-fake-*'] }, env: (fake) => ({ ...fake.environment('anthropic'), ...houseEnv(backend) }) });
  const put = (value) => g.request('PUT', '/api/credentials/llm_ollama', { body: { value } });
  const models = async () => (await g.get('/api/models')).json.models.map((m) => [m.id, m.default, m.key_owner]);

  test('is asked under its address, by its user, who pays', async () => {
    assert.deepEqual(await models(), [['anthropic:fake-1', true, 'operator']]);
    const stored = ok(await put({ base_url: g.fake.url, preferred_model: 'fake-mini' }));
    assert.equal(stored.json.unverified, undefined, stored.text);
    assert.deepEqual(await models(), [['anthropic:fake-1', true, 'operator'], ['ollama:fake-mini', false, 'user']]);
    ok(await g.post('/api/chat', { message: '[say x]', model: 'ollama:fake-mini' }));
    const [seen] = await g.fake.requests(1);
    assert.deepEqual([seen.path, seen.body.model, seen.headers.key_sha256], ['/api/chat', 'fake-mini', undefined]);
    const usage = (await g.get('/api/usage')).json.usage.filter((u) => u.provider === 'ollama');
    assert.deepEqual(usage.map((u) => u.key_owner), ['user']);
  });

  test('with a key where a proxy wants one', async () => {
    ok(await put({ base_url: g.fake.url, api_key: 'sk-fake-proxy' }));
    ok(await g.post('/api/chat', { message: '[say x]', model: 'ollama:fake-1' }));
    assert.equal((await g.fake.requests(1))[0].headers.key_sha256, sha256('sk-fake-proxy'));
  });

  test('is tried when it is stored, without loading a model', async () => {
    await g.fake.clear();
    ok(await put({ base_url: g.fake.url, preferred_model: 'fake-1' }));
    assert.deepEqual((await g.fake.requests()).map((r) => r.path), ['/api/tags']);
    const absent = await put({ base_url: g.fake.url, preferred_model: 'absent' });
    assert.equal(absent.status, 400);
    assert.match(absent.json.detail, /value\.preferred_model: .*does not have the model absent.*ollama pull/);
    const down = ok(await put({ base_url: 'http://127.0.0.1:1' }));
    assert.equal(down.json.unverified, true);
    assert.match(down.json.reason, /127\.0\.0\.1:1/);
  });

  test('what is no address is refused', async () => {
    for (const value of [{}, { api_key: 'sk-fake-x' }, { preferred_model: 'fake-1' }, { base_url: '' }, { base_url: 'fake:11434' }, { base_url: 5 }, { base_url: `${g.fake.url}?x` }, { base_url: g.fake.url, more: 1 }]) {
      const r = await put(value);
      assert.equal(r.status, 400, JSON.stringify(value));
    }
  });

  test('others than admins name public servers only', async () => {
    const bob = await user(g, 'bob');
    for (const base_url of [g.fake.url, 'http://ollama.example.com', 'https://nas.local', 'https://192.168.1.5:11434']) {
      assert.equal((await bob.put('llm_ollama', { base_url })).status, 400, base_url);
    }
    assert.equal((await bob.say('hi', { model: 'ollama:fake-1' })).status, 403, 'nobody else\'s is theirs');
  });

  test('the command line knows the shape, too', async () => {
    const cli = await g.command(['vault', 'put', 'llm_ollama', '--unverified', '--user', 'cleo'], { input: JSON.stringify({ api_key: 'sk-fake-x' }) });
    assert.notEqual(cli.code, 0);
    assert.match(cli.stderr, /base_url/);
  });

  test('a compatible server that wants no key', async () => {
    ok(await g.request('PUT', '/api/credentials/llm_openai', { body: { value: { base_url: 'http://127.0.0.1:1/v1' } } }));
    const turn = await g.post('/api/chat', { message: 'hi', model: 'openai:x' });
    assert.match(turn.json.error.message, /127\.0\.0\.1:1/);
    ok(await g.request('DELETE', '/api/credentials/llm_openai'), 204);
  });
});

eachBackend('a vault under another key', (start) => {
  const g = start({ fakeOptions: { key: OPERATOR, args: ['--key', 'sk-fake-*'] }, env: (fake) => ({ ...fake.environment('anthropic'), CREDENTIALS_ENCRYPTION_KEY: 'first-key-of-the-vault-123' }) });

  test('is told as the problem it is, and nobody is asked', async () => {
    ok(await g.request('PUT', '/api/credentials/llm_anthropic', { body: { value: { api_key: 'sk-fake-own' } } }));
    const before = (await g.get('/api/me')).json.setup;
    assert.deepEqual([before.configured, before.key_owner, before.problem], [true, 'user', null]);
    await g.restart({ CREDENTIALS_ENCRYPTION_KEY: 'another-key-of-the-vault-1' });
    await g.fake.clear();
    const { setup } = ok(await g.get('/api/me')).json;
    assert.deepEqual([setup.configured, setup.model, setup.key_owner], [false, null, null]);
    assert.match(setup.problem, /key/i);
    assert.doesNotMatch(setup.problem, /No LLM key configured/);
    const r = await g.request('POST', '/api/models/discover', { body: { provider: 'anthropic' } });
    assert.equal(r.status, 403, r.text);
    assert.equal((await g.fake.requests()).length, 0);
    ok(await g.request('POST', '/api/models/discover', { body: { provider: 'anthropic', api_key: 'sk-fake-new' } }));
  });
});
