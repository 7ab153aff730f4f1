// Providers that fail: what is tried again, what the user is told and how soon, what is kept.
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { checkEvents, eachBackend, eventually, fresh, freePort, view } from './harness.mjs';

const LABEL = { anthropic: /Anthropic/, openai: /OpenAI/, ollama: /Ollama/ };
const TOLD_WITHIN_MS = 10_000;

/** The failure of a turn, which must be told in time, name the provider, and never show a key. */
async function failure(g, message, provider = 'anthropic', more = {}) {
  const begun = Date.now();
  const s = await g.stream(message, { model: `${provider}:fake-1`, ...more });
  const events = await s.all();
  const took = Date.now() - begun;
  checkEvents(events);
  const end = events.at(-1).json;
  assert.equal(end.type, 'RUN_ERROR', `${message}: ${JSON.stringify(end)}`);
  assert.match(end.message, LABEL[provider], message);
  assert.ok(!end.message.includes(g.fake.key), end.message);
  assert.ok(took < TOLD_WITHIN_MS, `${message}: told after ${took} ms`);
  const turn = await g.turn(s.turnId);
  assert.deepEqual([turn.state, turn.error.message], ['failed', end.message]);
  return { ...end, events, threadId: s.threadId, turnId: s.turnId };
}

eachBackend('failing providers', (start) => {
  const g = start({ env: (fake) => fake.everything() });

  for (const provider of Object.keys(LABEL)) {
    const model = `${provider}:fake-1`;

    test(`${provider}: what passes by is tried again, unseen`, async () => {
      await g.fake.clear();
      await Promise.all(['503', '500', '529', '429', '408', 'drop', 'cut', '429 retry 1'].map(async (how) => {
        const r = await g.chat(`[fail-times 1 ${how}] [say fine] ${provider}`, { model });
        assert.deepEqual([r.state, r.message?.content], ['done', 'fine'], `${how}: ${JSON.stringify(r)}`);
      }));
      assert.equal((await g.fake.requests()).length, 16);
    });

    test(`${provider}: what does not pass is told in time, in plain words`, async () => {
      await Promise.all([
        ['[status 401]', 'unauthorized', /key/i],
        ['[status 403]', 'forbidden', /./],
        ['[status 404]', 'not_found', /model|not found/i],
        ['[status 400]', 'invalid', /./],
        ['[status 500]', 'unavailable', /./],
        ['[status 529]', undefined, /overload|busy|try/i],
        ['[status 429 retry 30]', 'busy', /limit|later|wait|try/i],
        ['[drop]', 'unavailable', /./],
        ['[garbage 0]', undefined, /./],
      ].map(async ([message, code, pattern]) => {
        const f = await failure(g, message, provider);
        if (code) assert.equal(f.code, code, `${message}: ${f.message}`);
        assert.match(f.message, pattern, message);
      }));
    });

    test(`${provider}: an answer that breaks in the middle is kept as far as it came`, async () => {
      for (const how of ['cut 6', 'truncate 6', 'error-in-stream 6', 'garbage 6']) {
        const f = await failure(g, `[${how}]`, provider);
        const shown = view(f.events).text;
        assert.equal(shown.trim().split(' ').length, 6, `${how}: ${shown}`);
        const messages = await g.messages(f.threadId);
        assert.deepEqual(messages.map((m) => m.role), ['user', 'assistant'], how);
        const kept = typeof messages[1].content === 'string' ? messages[1].content : messages[1].content[0].text;
        assert.equal(kept, shown, how);
        assert.match((await g.chat('[echo-messages]', { thread_id: f.threadId, model })).message.content, /^3 messages/, how);
      }
    });
  }

  test('a call that was cut while its arguments came is not made', async () => {
    const f = await failure(g, '[say let me see] [tool calculate {"expression":"1+1"}] [cut 1]');
    assert.deepEqual(await g.query(`SELECT count(*) FROM effects WHERE turn_id = '${f.turnId}'`), [['0']]);
    assert.equal((await g.chat('[say on]', { thread_id: f.threadId })).message.content, 'on');
  });

  test('one thread\'s trouble is its own', async () => {
    const bad = Array.from({ length: 10 }, () => g.chat('[status 500]', { thread_id: fresh() }));
    const good = await Promise.all(Array.from({ length: 10 }, () => g.chat('[say good]', { thread_id: fresh() })));
    assert.ok(good.every((r) => r.message.content === 'good'));
    assert.ok((await Promise.all(bad)).every((r) => r.state === 'failed'));
  });

  test('a model that does not exist', async () => {
    const r = await g.chat('hello', { model: 'anthropic:missing-model' });
    assert.equal(r.state, 'failed');
    assert.match(r.error.message, /missing-model/);
  });
}, ['sqlite']);

eachBackend('silent providers', (start) => {
  const g = start({ env: (fake) => ({ ...fake.everything(), ADJUTANT_LLM_IDLE_TIMEOUT_MS: '1000' }) });

  test('an answer that stalls ends at the idle deadline and is kept', async () => {
    const f = await failure(g, '[stall 4]');
    assert.equal(f.code, 'timeout');
    assert.equal((await g.messages(f.threadId)).length, 2);
    await eventually(async () => (await g.fake.requests(1))[0].end === 'client gone');
  });
}, ['sqlite']);

eachBackend('providers that are away', (start) => {
  let dead, silent;
  const g = start({
    env: (fake) => ({
      ...fake.everything(),
      ANTHROPIC_BASE_URL: `http://127.0.0.1:${dead}`,
      LLM_FALLBACKS: `openai:fake-2,ollama:fake-3`,
    }),
    before: async () => {
      dead = await freePort();
      silent = net.createServer(() => {});
      await new Promise((resolve) => silent.listen(0, '127.0.0.1', resolve));
    },
  });

  test('the fallback answers, and usage says who it was', async () => {
    const r = await g.chat('[say from the fallback]');
    assert.equal(r.message.content, 'from the fallback');
    const [{ body }] = await g.fake.requests(1);
    assert.equal(body.model, 'fake-2');
    const { usage } = (await g.get('/api/usage')).json;
    assert.deepEqual(usage.map((u) => [u.provider, u.calls > 0]), [['openai', true]]);
    silent.close();
  });
}, ['sqlite']);

eachBackend('providers that refuse the key', (start) => {
  const g = start({ env: (fake) => ({ ...fake.environment('openai'), OPENAI_API_KEY: 'sk-wrong-key-000111222333' }), provider: 'openai' });

  test('are named, with what to do', async () => {
    const f = await failure(g, 'hello', 'openai', { model: undefined });
    assert.equal(f.code, 'unauthorized');
    assert.ok(!f.message.includes('sk-wrong-key-000111222333'));
    assert.equal((await g.fake.requests(1))[0].status, 401);
    assert.equal((await g.fake.requests()).length, 1, 'a refused key is not tried again');
  });
}, ['sqlite']);

eachBackend('a silent model', (start) => {
  const g = start();

  test('that takes its time is named within ten seconds', async () => {
    const s = await g.stream('[first 12000] [say at last]');
    const begun = Date.now();
    const events = await s.until((all) => all.some((e) => e.json.name === 'model_silent'));
    const told = events.find((e) => e.json.name === 'model_silent');
    assert.ok(Date.now() - begun < 10_000);
    assert.ok(told.json.value.seconds >= 8 && told.json.value.provider);
    const all = await s.all();
    checkEvents(all);
    assert.equal(view(all).text, 'at last');
  });
});
