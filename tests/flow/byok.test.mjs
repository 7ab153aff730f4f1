// Bring your own key: who pays for a turn, and that nobody else does.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Adjutant, eachBackend, eventually, fresh, request, sha256, Socket } from './harness.mjs';

const OPERATOR = 'sk-fake-operator-0000000000000000';
const SENTENCE = 'No LLM key configured. Provide your own key or request operator access.';

/** A user with an API key, and what such a user does. */
async function user(g, name, ...args) {
  const r = await g.command(['keys', 'create', '--user', name, ...args]);
  assert.equal(r.code, 0, r.stderr);
  const headers = { 'X-API-Key': r.stdout.trim() };
  const ask = (method, path, body, url = g.url) => request(url, method, path, { headers, body });
  return {
    name, headers,
    get: (path) => ask('GET', path),
    put: (service, value, more) => ask('PUT', `/api/credentials/${service}`, { value, ...more }),
    delete: (service) => ask('DELETE', `/api/credentials/${service}`),
    say: (message, more, url) => ask('POST', '/api/chat', { message, ...more }, url),
    post: (path, body) => ask('POST', path, body),
  };
}

const keyOf = (r) => r.headers.key_sha256;
const ok = (r, status = 200) => {
  assert.equal(r.status, status, r.text);
  return r;
};

eachBackend('one\'s own model keys', (start, backend) => {
  const g = start({
    key: backend === 'postgres' ? undefined : 'operator-of-the-house-1234',
    fakeOptions: { key: OPERATOR, args: ['--key', 'sk-fake-*'] },
    env: (fake) => ({ ...fake.everything(), ...(backend === 'postgres' ? {} : { ASSISTANT_API_KEY: 'operator-of-the-house-1234' }) }),
  });
  const last = async () => (await g.fake.requests(1))[0];
  let ann, bob;

  test('without one and without the operator\'s leave nobody is asked, over each entry point', async () => {
    ann = await user(g, 'ann');
    bob = await user(g, 'bob');
    await g.fake.clear();
    const r = await ann.say('hi');
    assert.deepEqual([r.status, r.json.detail], [403, SENTENCE]);
    const openai = await ann.post('/v1/chat/completions', { model: 'adjutant', messages: [{ role: 'user', content: 'hi' }] });
    assert.deepEqual([openai.status, openai.json.error.message], [403, SENTENCE]);
    const agui = await ann.post('/agui', { threadId: fresh(), runId: fresh(), messages: [{ id: 'm', role: 'user', content: 'hi' }], tools: [], context: [], state: {}, forwardedProps: {} });
    assert.deepEqual([agui.status, agui.json.detail], [403, SENTENCE]);
    const socket = await Socket.open(g.url, { headers: ann.headers });
    socket.send({ type: 'chat', id: 'c1', message: 'hi' });
    const refused = await socket.next((f) => f.type === 'error', 'the refusal');
    assert.ok(JSON.stringify(refused).includes(SENTENCE), JSON.stringify(refused));
    await socket.close();
    assert.deepEqual((await ann.get('/api/models')).json, { models: [], configured: false });
    assert.equal((await g.fake.requests()).length, 0);
  });

  test('a stored key pays at once, and only for its user', async () => {
    const stored = ok(await ann.put('llm_anthropic', { api_key: 'sk-fake-ann-a', preferred_model: 'fake-of-ann' }));
    assert.equal(stored.json.service, 'llm_anthropic');
    assert.equal(stored.json.unverified, undefined);
    assert.equal(keyOf(await last()), sha256('sk-fake-ann-a'), 'it was tried');
    ok(await bob.put('llm_anthropic', { api_key: 'sk-fake-bob-a' }));
    await g.fake.clear();
    const turns = [...Array(6)].map((_, i) => ok2((i % 2 ? ann : bob).say(`[say for ${i % 2 ? 'ann' : 'bob'}]`)));
    await Promise.all(turns);
    const requests = await g.fake.requests();
    assert.equal(requests.length, 6);
    for (const r of requests) {
      const forAnn = JSON.stringify(r.body).includes('for ann');
      assert.equal(keyOf(r), sha256(forAnn ? 'sk-fake-ann-a' : 'sk-fake-bob-a'));
      assert.equal(r.body.model, forAnn ? 'fake-of-ann' : 'fake-1');
    }
    async function ok2(promise) {
      ok(await promise);
    }
  });

  test('usage says who paid', async () => {
    await g.chat('[say for the house]');
    assert.equal(keyOf(await last()), sha256(OPERATOR));
    const own = (await g.get('/api/usage')).json.usage.map((u) => u.key_owner);
    assert.deepEqual([...new Set(own)], ['operator']);
    const anns = (await ann.get('/api/usage')).json.usage;
    assert.deepEqual(anns.map((u) => [u.provider, u.key_owner]), [['anthropic', 'user']]);
    assert.ok(anns[0].calls >= 3 && anns[0].output_tokens > 0);
  });

  test('keys of both companies live side by side', async () => {
    ok(await ann.put('llm_openai', { api_key: 'sk-fake-ann-o', preferred_model: 'fake-gpt' }));
    ok(await ann.say('[say x]', { model: 'openai:fake-2' }));
    let r = await last();
    assert.deepEqual([r.path, keyOf(r), r.body.model], ['/v1/chat/completions', sha256('sk-fake-ann-o'), 'fake-2']);
    ok(await ann.say('[say x]', { model: 'claude:fake-3' }));
    r = await last();
    assert.deepEqual([r.path, keyOf(r), r.body.model], ['/v1/messages', sha256('sk-fake-ann-a'), 'fake-3']);
    const models = (await ann.get('/api/models')).json;
    assert.deepEqual(models.models.map((m) => [m.id, m.default, m.key_owner]),
      [['anthropic:fake-of-ann', true, 'user'], ['openai:fake-gpt', false, 'user']]);
    assert.equal(models.configured, true);
    ok(await ann.delete('llm_anthropic'), 204);
    ok(await ann.say('[say x]'));
    r = await last();
    assert.deepEqual([keyOf(r), r.body.model], [sha256('sk-fake-ann-o'), 'fake-gpt'], 'nothing named: the key that is there');
    const named = await ann.say('hi', { model: 'anthropic:fake-1' });
    assert.deepEqual([named.status, named.json.detail], [403, SENTENCE]);
    assert.equal((await ann.say('hi', { model: 'ollama:fake-1' })).status, 403);
  });

  test('a deleted key pays no more, from the next turn on', async () => {
    ok(await ann.delete('llm_openai'), 204);
    assert.equal((await ann.say('hi')).status, 403);
    assert.equal((await ann.delete('llm_openai')).status, 404);
  });

  test('a key that the provider refuses is not stored, and the reason is said', async () => {
    for (const [service, value] of [['llm_anthropic', { api_key: 'sk-wrong-key' }], ['llm_openai', { api_key: 'sk-wrong-key' }]]) {
      const r = await ann.put(service, value);
      assert.equal(r.status, 400, r.text);
      assert.match(r.json.detail, /key/i);
      assert.ok(!r.text.includes('sk-wrong-key'));
    }
    assert.deepEqual((await ann.get('/api/credentials')).json.credentials, []);
  });

  test('a provider that cannot be asked leaves the key unverified', async () => {
    const r = ok(await g.request('PUT', '/api/credentials/llm_openai', { body: { value: { api_key: 'sk-x', base_url: 'http://127.0.0.1:1/v1' } } }));
    assert.equal(r.json.unverified, true);
    assert.match(r.json.reason, /./);
    const turn = await g.post('/api/chat', { message: 'hi', model: 'openai:fake-1' });
    assert.equal(turn.json.state, 'failed');
    assert.match(turn.json.error.message, /127\.0\.0\.1:1/);
    assert.notEqual(keyOf(await last()), sha256('sk-x'));
    ok(await g.request('DELETE', '/api/credentials/llm_openai'), 204);
  });

  test('what is no model key is refused, and where it may go', async () => {
    const bad = [
      {}, { api_key: '' }, { api_key: 5 }, { api_key: 'a b' }, { key: 'sk-fake-x' }, { api_key: 'sk-fake-x', extra: 1 },
      { api_key: 'sk-fake-x', preferred_model: 'a b' }, { api_key: 'sk-fake-x', base_url: 'http://example.com' },
      ...['https://127.0.0.1', 'https://localhost/v1', 'https://[::1]/', 'https://10.0.0.7:8443/v1', 'https://0x7f.1', 'https://router', 'https://a@b.example',
        'https://nas.local/v1', 'https://db.internal', 'https://a.example?x=1', 'ftp://a.example', 'https://2130706433', 'https://a.example.'].map((base_url) => ({ api_key: 'sk-fake-x', base_url })),
    ];
    await g.fake.clear();
    for (const value of bad) {
      const r = await ann.put('llm_openai', value);
      assert.equal(r.status, 400, `${JSON.stringify(value)}: ${r.text}`);
    }
    assert.equal((await g.fake.requests()).length, 0);
  });

  test('the operator\'s leave, and the user\'s own key before it', async () => {
    const eve = await user(g, 'eve', '--allow-operator-llm');
    ok(await eve.say('[say x]'));
    assert.equal(keyOf(await last()), sha256(OPERATOR));
    ok(await eve.put('llm_anthropic', { api_key: 'sk-fake-eve' }));
    ok(await eve.say('[say x]'));
    assert.equal(keyOf(await last()), sha256('sk-fake-eve'));
    const owners = (await eve.get('/api/usage')).json.usage.map((u) => u.key_owner).sort();
    assert.deepEqual(owners, ['operator', 'user']);
  });

  test('a command beside the server counts at once', async () => {
    const input = JSON.stringify({ api_key: 'sk-fake-cli' });
    assert.equal((await ann.say('hi')).status, 403);
    const put = await g.command(['vault', 'put', 'llm_anthropic', '--user', 'ann'], { input });
    assert.equal(put.code, 0, put.stderr);
    await eventually(async () => (await ann.say('[say x]')).status === 200, { what: 'the key' });
    assert.equal(keyOf(await last()), sha256('sk-fake-cli'));
    assert.equal((await g.command(['vault', 'delete', 'llm_anthropic', '--user', 'ann'])).code, 0);
    await eventually(async () => (await ann.say('hi')).status === 403, { what: 'the end of the key' });
    const refused = await g.command(['vault', 'put', 'llm_anthropic', '--user', 'ann'], { input: '{"api_key":"nonsense"}' });
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /key/);
  });
});

eachBackend('fallbacks and own keys', (start, backend) => {
  const shared = 'operator-of-the-house-1234';
  const g = start({
    key: backend === 'postgres' ? undefined : shared,
    fakeOptions: { key: OPERATOR, args: ['--key', 'sk-fake-*'] },
    env: (fake) => ({ ...fake.everything(), LLM_FALLBACKS: 'openai:fake-2,ollama:fake-3', ...(backend === 'postgres' ? {} : { ASSISTANT_API_KEY: shared }) }),
  });

  test('the operator does not pay when a user\'s key fails', async () => {
    const ann = await user(g, 'ann', '--allow-operator-llm');
    ok(await ann.put('llm_anthropic', { api_key: 'sk-fake-ann' }));
    await g.fake.clear();
    assert.equal((await ann.say('[status 401]')).json.state, 'failed');
    for (const r of await g.fake.requests()) assert.equal(keyOf(r), sha256('sk-fake-ann'));
    assert.equal((await ann.get('/api/usage')).json.usage.length, 0);
    // Her key for another company may help out.
    ok(await ann.put('llm_openai', { api_key: 'sk-fake-ann-o' }));
    await g.fake.clear();
    ok(await ann.say('[fail-times 1 401] [say x]'));
    const requests = await g.fake.requests();
    assert.deepEqual(requests.map((r) => [r.path, keyOf(r)]).sort(), [
      ['/v1/chat/completions', sha256('sk-fake-ann-o')], ['/v1/messages', sha256('sk-fake-ann')]]);
  });
});

eachBackend('own keys in every process', (start, backend) => {
  const g = start({ fakeOptions: { key: OPERATOR, args: ['--key', 'sk-fake-*'] }, env: (fake) => fake.everything() });

  test('a change in one counts in the other at once', async () => {
    const other = await Adjutant.start({ ...g.options, backend, fake: g.fake, db: g.db });
    try {
      const ann = await user(g, 'ann');
      const there = async () => (await ann.say('[say x]', {}, other.url)).status;
      assert.equal(await there(), 403);
      ok(await ann.put('llm_anthropic', { api_key: 'sk-fake-ann-1' }));
      await eventually(async () => await there() === 200, { what: 'the key in the other process' });
      ok(await ann.put('llm_anthropic', { api_key: 'sk-fake-ann-2' }));
      assert.equal(await there(), 200);
      assert.equal(keyOf((await g.fake.requests(1))[0]), sha256('sk-fake-ann-2'));
      ok(await ann.delete('llm_anthropic'), 204);
      await eventually(async () => await there() === 403, { what: 'its end there' });
    } finally {
      await other.stop();
    }
  });
}, ['postgres']);
