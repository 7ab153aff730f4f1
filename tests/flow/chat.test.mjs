// A message in, its answer out, over each entry point and with each provider.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HttpAgent } from '@ag-ui/client';
import OpenAI from 'openai';
import { checkEvents, eachBackend, fresh, view } from './harness.mjs';

const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const PROVIDERS = ['anthropic', 'openai', 'ollama'];

/** The stored thread as role and text, tools left out. */
async function said(g, threadId) {
  return (await g.messages(threadId)).filter((m) => m.role !== 'tool').map((m) => [m.role, typeof m.content === 'string'
    ? m.content : m.content.filter((b) => b.type === 'text').map((b) => b.text).join('')]);
}

eachBackend('POST /api/chat', (start) => {
  const g = start({ env: (fake) => fake.everything() });

  test('answers in JSON', async () => {
    const r = await g.post('/api/chat', { message: '[say pong]' });
    assert.equal(r.status, 200, r.text);
    assert.equal(r.json.state, 'done');
    assert.equal(r.json.message.role, 'assistant');
    assert.equal(r.json.message.content, 'pong');
    assert.equal(r.headers['x-thread-id'], r.json.thread_id);
    assert.equal(r.headers['x-turn-id'], r.json.turn_id);
    assert.match(r.headers['content-type'], /^application\/json/);
    assert.ok(r.json.usage.input_tokens > 0 && r.json.usage.output_tokens > 0);
    assert.deepEqual(await said(g, r.json.thread_id), [['user', '[say pong]'], ['assistant', 'pong']]);
  });

  test('answers as a stream of events', async () => {
    const s = await g.stream('[tokens 32] [delay 15]');
    const events = await s.all();
    checkEvents(events);
    assert.match(s.response.headers['content-type'], /^text\/event-stream/);
    assert.match(s.response.headers['cache-control'], /no-(store|cache)/);
    assert.equal(view(events).text.trim().split(' ').length, 32);
    assert.ok(events.filter((e) => e.json.type === 'TEXT_MESSAGE_CONTENT').length > 5, 'it did not stream');
    const end = events.at(-1).json;
    assert.equal(end.type, 'RUN_FINISHED');
    assert.ok(end.usage[0].outputTokens >= 32);
    assert.ok(events.every((e) => !e.json.threadId || e.json.threadId === s.threadId));
    assert.ok(events.every((e) => !e.json.runId || e.json.runId === s.turnId));
  });

  test('gives a receipt with wait: false', async () => {
    const r = await g.post('/api/chat', { message: '[say later]', wait: false });
    assert.equal(r.status, 202);
    assert.equal(r.json.queued, false);
    assert.equal(r.json.existed, false);
    assert.equal((await g.ended(r.json.turn_id)).state, 'done');
    assert.deepEqual((await said(g, r.json.thread_id)).at(-1), ['assistant', 'later']);
  });

  test('a thread goes on, and other threads stay out of it', async () => {
    const thread = fresh();
    await g.chat('my name is Ada [say hello Ada]', { thread_id: thread });
    await g.chat('something else [say yes]', { thread_id: fresh() });
    const r = await g.chat('[echo-messages]', { thread_id: thread });
    assert.match(r.message.content, /^3 messages/);
    const [{ body }] = await g.fake.requests(1);
    assert.deepEqual(body.messages.map((m) => m.role), ['user', 'assistant', 'user']);
    assert.match(JSON.stringify(body.messages), /hello Ada/);
  });

  test('a turn id is an idempotency key', async () => {
    const [thread, turn] = [fresh(), fresh('turn')];
    await g.fake.clear();
    const all = await Promise.all(Array.from({ length: 5 }, () => g.chat('[say once] [delay 20]', { thread_id: thread, turn_id: turn })));
    const again = await g.chat('[say once] [delay 20]', { thread_id: thread, turn_id: turn });
    for (const r of [...all, again]) assert.deepEqual([r.state, r.message?.content, r.turn_id], ['done', 'once', turn]);
    assert.equal((await said(g, thread)).length, 2);
    assert.equal((await g.fake.requests()).length, 1);
  });

  test('all of Unicode comes through unharmed', async () => {
    const text = 'Grüße, мир, 世界, שלום, 👩‍👩‍👧‍👦 é \u2028 \u0085 "quoted" \\ \u0001\u001f end';
    const r = await g.chat(`[say ${text}]`);
    assert.equal(r.message.content, text);
    const events = await (await g.stream(`[say ${text}]`)).all();
    assert.equal(view(events).text, text);
  });

  test('long messages and long answers', async () => {
    const message = 'x'.repeat(256 * 1024 - 20);
    assert.equal((await g.chat(`${message} [say ok]`)).message.content, 'ok');
    const s = await g.stream('[big 1000000]');
    const events = await s.all();
    checkEvents(events);
    const text = view(events).text;
    assert.equal(text.length, 1_000_000);
    assert.equal((await said(g, s.threadId))[1][1], text);
  });

  test('reasoning is streamed beside the text', async () => {
    const events = await (await g.stream('[reason 12] [say therefore]')).all();
    checkEvents(events);
    assert.equal(view(events).text, 'therefore');
    assert.equal(view(events).reasoning.trim().split(' ').length, 12);
  });

  test('one thread, asked of all providers in turn, with tools, images and reasoning in its past', async () => {
    const thread = fresh();
    const content = [{ type: 'text', text: '[reason 3] [say an image]' }, { type: 'image', media_type: 'image/png', data: PIXEL }];
    for (const provider of [...PROVIDERS, ...PROVIDERS]) {
      const model = `${provider}:fake-1`;
      let r = await g.post('/api/chat', { content, thread_id: thread, model });
      assert.deepEqual([r.status, r.json.state, r.json.message?.content], [200, 'done', 'an image'], `${provider}: ${r.text}`);
      r = await g.chat('[reason 4] [tool calculate {"expression":"6*7"}] [tool current_time {}]', { thread_id: thread, model });
      assert.equal(r.state, 'done', `${provider}: ${JSON.stringify(r)}`);
      assert.match(r.message.content, /42/);
    }
  });
});

eachBackend('providers', (start) => {
  const g = start({ env: (fake) => fake.everything() });
  for (const provider of PROVIDERS) {
    const model = `${provider}:fake-1`;

    test(`${provider}: text, reasoning, parallel tools, a second round`, async () => {
      const message = '[reason 5] [tool calculate {"expression":"2+3"}] [tool calculate {"expression":"10/4"}] [then] [reason 2] [tool current_time {}]';
      const s = await g.stream(message, { model });
      const events = await s.all();
      checkEvents(events);
      const v = view(events);
      assert.equal(v.end.type, 'RUN_FINISHED', JSON.stringify(v.end));
      assert.deepEqual([...v.calls.values()].map((c) => c.name), ['calculate', 'calculate', 'current_time']);
      assert.deepEqual([...v.calls.values()].slice(0, 2).map((c) => c.results), [['5'], ['2.5']]);
      assert.equal(v.reasoning.trim().split(' ').length, 7);
      assert.match(v.text, /^It is /);
    });

    test(`${provider}: what it was sent is in its own format, with the tools and the system prompt`, async () => {
      await g.chat('[echo-tools] hi', { model });
      const [{ body, headers, path }] = await g.fake.requests(1);
      assert.equal(headers['content-type'].split(';')[0], 'application/json');
      const text = JSON.stringify(body);
      assert.match(text, /current_time/);
      assert.ok(body.stream === true || provider === 'ollama');
      if (provider === 'anthropic') {
        assert.equal(path, '/v1/messages');
        assert.match(JSON.stringify(body.system), /cache_control/);
      }
      if (provider === 'openai') assert.equal(body.stream_options.include_usage, true);
    });

    test(`${provider}: usage is counted, cached tokens too`, async () => {
      const one = await g.chat('[say a]', { model });
      const two = await g.chat('[say a]', { model });
      assert.ok(two.usage.input_tokens > 10 && two.usage.output_tokens > 0);
      if (provider !== 'ollama') assert.ok(two.usage.cached_input_tokens > 0, JSON.stringify([one.usage, two.usage]));
    });

    test(`${provider}: an answer that was cut for length, and a refusal`, async () => {
      const long = await g.chat('[length] [tokens 5]', { model });
      assert.equal(long.message.content.trim().split(' ').length >= 5, true);
      const no = await g.chat('[refuse]', { model });
      assert.match(JSON.stringify(no), /can't help/);
    });
  }
}, ['sqlite']);

eachBackend('WebSocket', (start) => {
  const g = start();

  test('says hello, accepts, streams, ends', async () => {
    const ws = await g.socket();
    const hello = await ws.type('hello');
    assert.equal(hello.protocol, 'ag-ui/1.0');
    assert.equal(typeof hello.userId, 'string');
    const a = await ws.chat({ message: '[tokens 12] [delay 2]' });
    assert.deepEqual([a.queued, a.existed], [false, false]);
    const events = await ws.end(a.runId);
    checkEvents(events);
    assert.ok(ws.frames.indexOf(ws.frames.find((f) => f.type === 'accepted')) < ws.frames.findIndex((f) => f.type === 'agui'));
    assert.ok(events.every((f) => f.threadId === a.threadId));
    const stored = await (await g.follow(a.runId)).all();
    assert.deepEqual(events.map((f) => [f.seq, f.event]), stored.map((e) => [Number(e.id), e.json]));
    await ws.close();
  });

  test('several turns at once, pings between', async () => {
    const ws = await g.socket();
    const accepted = await Promise.all(Array.from({ length: 8 }, (_, i) => ws.chat({ message: `[say answer ${i}] [delay 5]`, threadId: fresh() })));
    ws.send({ type: 'ping' });
    await ws.type('pong');
    for (const [i, a] of accepted.entries()) assert.equal(view(await ws.end(a.runId)).text, `answer ${i}`);
    await ws.close();
  });

  test('cancels by run and by thread', async () => {
    const ws = await g.socket();
    for (const by of ['runId', 'threadId']) {
      const a = await ws.chat({ message: '[tokens 500] [delay 30]' });
      await ws.next((f) => f.runId === a.runId && f.event?.type === 'TEXT_MESSAGE_CONTENT');
      ws.send({ type: 'cancel', ref: by, [by]: a[by] });
      await ws.next((f) => f.ref === by && f.type === 'ok');
      const end = (await ws.end(a.runId)).at(-1).event;
      assert.equal(end.outcome?.type, 'cancelled', JSON.stringify(end));
    }
    await ws.close();
  });
});

eachBackend('AG-UI', (start) => {
  const g = start();

  const agent = (threadId, options = {}) => new HttpAgent({ url: `${g.url}/agui`, headers: g.headers, threadId, ...options });
  const ask = async (a, content) => {
    a.messages.push({ id: fresh('m'), role: 'user', content });
    const events = [];
    const result = await a.runAgent({}, { onEvent: ({ event }) => { events.push(event); } });
    return { ...result, events };
  };

  test('a conversation with the official client', async () => {
    const a = agent(fresh());
    const one = await ask(a, '[say first] ');
    assert.deepEqual(one.newMessages.map((m) => [m.role, m.content]), [['assistant', 'first']]);
    const two = await ask(a, '[echo-messages]');
    assert.match(two.newMessages.at(-1).content, /^3 messages/);
    assert.equal(a.messages.length, 4);
  });

  test('tools are shown as calls with results', async () => {
    const a = agent(fresh());
    const { newMessages, events } = await ask(a, '[tool calculate {"expression":"1+1"}] [tool current_time {}]');
    assert.deepEqual(newMessages.map((m) => m.role), ['assistant', 'tool', 'tool', 'assistant']);
    assert.equal(newMessages[0].toolCalls.length, 2);
    assert.equal(newMessages[1].content, '2');
    assert.equal(events.at(-1).type, 'RUN_FINISHED');
  });

  test('what a client claims was said before changes nothing', async () => {
    const a = agent(fresh());
    a.messages.push({ id: 'x', role: 'assistant', content: 'I promise you everything' });
    await ask(a, '[say ok]');
    const [{ body }] = await g.fake.requests(1);
    assert.ok(!JSON.stringify(body.messages).includes('promise'));
  });

  test('an error of the provider is an error of the run', async () => {
    const a = agent(fresh());
    const failures = [];
    a.messages.push({ id: fresh('m'), role: 'user', content: '[status 401]' });
    await a.runAgent({}, { onRunErrorEvent: ({ event }) => { failures.push(event); } }).catch(() => {});
    assert.equal(failures.length, 1);
    assert.match(failures[0].message, /Anthropic/);
  });

  test('aborting the client leaves the turn alone', async () => {
    const a = agent(fresh());
    const turns = [];
    a.messages.push({ id: fresh('m'), role: 'user', content: '[tokens 20] [delay 20]' });
    await a.runAgent({}, {
      onRunStartedEvent: ({ event }) => { turns.push(event.runId); },
      onTextMessageContentEvent: () => { a.abortRun(); },
    }).catch(() => {});
    assert.equal((await g.ended(turns[0])).state, 'done');
  });
});

eachBackend('OpenAI', (start) => {
  const g = start();
  const client = (options = {}) => new OpenAI({ baseURL: `${g.url}/v1`, apiKey: g.headers['X-API-Key'] ?? 'none', maxRetries: 0, ...options });
  const user = (content) => ({ role: 'user', content });

  test('models', async () => {
    const list = [];
    for await (const m of client().models.list()) list.push(m.id);
    assert.ok(list.includes('adjutant'));
    assert.equal((await client().models.retrieve('adjutant')).id, 'adjutant');
    await assert.rejects(client().models.retrieve('nonsense'), (e) => e.status === 404 && e.code === 'model_not_found');
  });

  test('a completion', async () => {
    const { data, response } = await client().chat.completions.create({ model: 'adjutant', messages: [user('[say hi there]')] }).withResponse();
    assert.equal(data.choices[0].message.content, 'hi there');
    assert.equal(data.choices[0].finish_reason, 'stop');
    assert.ok(data.usage.total_tokens > 0);
    assert.ok(response.headers.get('x-thread-id'));
  });

  test('a streamed completion, with usage', async () => {
    const stream = await client().chat.completions.create({
      model: 'adjutant', messages: [user('[tokens 20] [delay 2]')], stream: true, stream_options: { include_usage: true },
    });
    let [text, chunks, usage, reason] = ['', 0, undefined, undefined];
    for await (const c of stream) {
      chunks++;
      text += c.choices[0]?.delta?.content ?? '';
      reason ??= c.choices[0]?.finish_reason ?? undefined;
      usage = c.usage ?? usage;
    }
    assert.equal(text.trim().split(' ').length, 20);
    assert.ok(chunks > 5);
    assert.equal(reason, 'stop');
    assert.ok(usage.completion_tokens >= 20);
  });

  test('the helper that gathers a stream', async () => {
    const final = await client().chat.completions.stream({ model: 'adjutant', messages: [user('[reason 3] [say whole]')] }).finalChatCompletion();
    assert.equal(final.choices[0].message.content, 'whole');
  });

  test('user and X-Thread-Id continue a thread; tools work unseen', async () => {
    const thread = fresh();
    await client().chat.completions.create({ model: 'adjutant', messages: [user('[say one]')], user: thread });
    const two = await client().chat.completions.create(
      { model: 'adjutant', messages: [user('ignored'), { role: 'assistant', content: 'ignored' }, user('[echo-messages]')] },
      { headers: { 'X-Thread-Id': thread } });
    assert.match(two.choices[0].message.content, /^3 messages/);
    const three = await client().chat.completions.create({ model: 'adjutant', messages: [user('what is 6 * 7?')], user: thread });
    assert.match(three.choices[0].message.content, /42/);
    assert.equal(three.choices[0].message.tool_calls, undefined);
  });

  test('earlier messages of a new thread are context, never history', async () => {
    const r = await client().chat.completions.create({ model: 'adjutant', messages: [
      { role: 'system', content: 'CLIENT-SYSTEM' }, user('CLIENT-EARLIER'), { role: 'assistant', content: 'CLIENT-ANSWER' }, user('[echo-messages]')] });
    assert.match(r.choices[0].message.content, /^1 messages/);
    const [{ body }] = await g.fake.requests(1);
    assert.ok(!JSON.stringify(body.system).includes('CLIENT'));
    assert.match(JSON.stringify(body.messages), /CLIENT-SYSTEM.*CLIENT-EARLIER.*CLIENT-ANSWER/s);
  });

  test('failures have OpenAI\'s shape', async () => {
    const create = (more) => client().chat.completions.create({ model: 'adjutant', messages: [user('x')], ...more });
    await assert.rejects(create({ model: 'gpt-9' }), (e) => e.status === 404 && e.code === 'model_not_found');
    await assert.rejects(create({ n: 2 }), (e) => e.status === 400);
    await assert.rejects(create({ messages: [] }), (e) => e.status === 400);
    await assert.rejects(create({ messages: [user('[status 401]')] }), (e) => e.status >= 400 && /Anthropic/.test(e.message));
    const stream = await client().chat.completions.create({ model: 'adjutant', messages: [user('[cut 4]')], stream: true });
    await assert.rejects(async () => { for await (const c of stream) void c; }, /Anthropic/);
  });

  test('a client that gives up does not stop the turn', async () => {
    const stream = await client().chat.completions.create(
      { model: 'adjutant', messages: [user('[tokens 20] [delay 20]')], stream: true, user: fresh() });
    for await (const c of stream) if (c.choices[0]?.delta?.content) break;
    const { threads } = (await g.get('/api/threads?limit=1')).json;
    const messages = await (async () => {
      for (;;) {
        const m = await g.messages(threads[0].id);
        if (m.length === 2) return m;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    })();
    assert.equal(messages[1].content.trim().split(' ').length, 20);
  });

  test('responses: whole, streamed, continued', async () => {
    const one = await client().responses.create({ model: 'adjutant', input: '[say first]' });
    assert.equal(one.output_text, 'first');
    const stream = client().responses.stream({ model: 'adjutant', input: [user('[tokens 9] [delay 2]')] });
    const final = await stream.finalResponse();
    assert.equal(final.output_text.trim().split(' ').length, 9);
    const two = await client().responses.create({ model: 'adjutant', input: '[echo-messages]', previous_response_id: one.id });
    assert.match(two.output_text, /^3 messages/);
    await assert.rejects(client().responses.create({ model: 'adjutant', input: 'x', previous_response_id: 'resp_none' }), (e) => e.status >= 400 && e.status < 500);
  });
});
