// What a turn does while nobody looks: tools, order, cancelling, limits.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkEvents, eachBackend, eventually, fresh, sleep, view } from './harness.mjs';

eachBackend('tools', (start) => {
  const g = start({ env: { ADJUTANT_TURN_MAX_STEPS: '5' } });

  test('the journal has each call once, with its outcome', async () => {
    const r = await g.chat('[tool calculate {"expression":"2^10"}] [tool current_time {}] [then] [tool calculate {"expression":"sqrt(81)"}]');
    assert.equal(r.state, 'done');
    const rows = await g.query(`SELECT tool, state FROM effects WHERE turn_id = '${r.turn_id}' ORDER BY call_id`);
    assert.deepEqual(rows, [['calculate', 'done'], ['current_time', 'done'], ['calculate', 'done']]);
    const messages = await g.messages(r.thread_id);
    assert.deepEqual(messages.map((m) => m.role), ['user', 'assistant', 'tool', 'tool', 'assistant', 'tool', 'assistant']);
    assert.deepEqual(messages.map((m) => m.seq), [1, 2, 3, 4, 5, 6, 7]);
    assert.match(JSON.stringify(messages[2].content), /1024/);
  });

  test('what goes wrong in a tool is told to the model', async () => {
    for (const [call, expected] of [
      ['[tool calculate {"expression":"2+"}]', /./],
      ['[tool calculate {}]', /./],
      ['[tool no_such_tool {}]', /no tool of this name/],
      ['[tool calculate {"expression":"1+1"}] [bad-args]', /arguments/],
    ]) {
      const s = await g.stream(call);
      const events = await s.all();
      checkEvents(events);
      const v = view(events);
      assert.equal(v.end.type, 'RUN_FINISHED', `${call}: ${JSON.stringify(v.end)}`);
      assert.match([...v.calls.values()][0].results[0], expected, call);
      const tool = (await g.messages(s.threadId)).find((m) => m.role === 'tool');
      assert.equal(tool.is_error, true, call);
    }
  });

  test('more calls than anybody needs', async () => {
    const r = await g.chat(Array.from({ length: 16 }, (_, i) => `[tool calculate {"expression":"${i}*${i}"}]`).join(' '));
    assert.equal(r.state, 'done');
    assert.match(r.message.content, /225/);
  });

  test('a model that never stops calling is stopped, and the thread lives on', async () => {
    const thread = fresh();
    const r = await g.chat('[loop]', { thread_id: thread });
    assert.equal(r.state, 'failed');
    assert.match(r.error.message, /5|step/);
    assert.equal((await g.chat('[say alive]', { thread_id: thread })).message.content, 'alive');
  });
});

eachBackend('order', (start) => {
  const g = start();

  test('a second message of a thread waits for the first', async () => {
    const thread = fresh();
    const one = await g.stream('[tokens 30] [delay 20] first', { thread_id: thread });
    await one.until((e) => e.some((x) => x.json.type === 'TEXT_MESSAGE_CONTENT'));
    const two = await g.chat('[say second]', { thread_id: thread, wait: false });
    const three = await g.chat('[echo-messages] third', { thread_id: thread, wait: false });
    assert.deepEqual([two.queued, three.queued], [true, true]);
    assert.equal((await g.turn(two.turn_id)).state, 'queued');
    const followed = await g.follow(three.turn_id);
    checkEvents(await one.all());
    assert.match(view(await followed.all()).last, /^5 messages/);
    const roles = (await g.messages(thread)).map((m) => m.role);
    assert.equal(roles.filter((r) => r === 'assistant').length, 3);
    assert.deepEqual((await g.messages(thread)).filter((m) => m.role === 'assistant').map((m) => m.turn_id), [one.turnId, two.turn_id, three.turn_id]);
  });

  test('many at once into one thread: each is answered, one after the other', async () => {
    const thread = fresh();
    const all = await Promise.all(Array.from({ length: 8 }, (_, i) => g.chat(`[say answer ${i}]`, { thread_id: thread })));
    assert.deepEqual(all.map((r) => r.message.content), all.map((_, i) => `answer ${i}`));
    const byTurn = new Map();
    for (const m of await g.messages(thread)) byTurn.set(m.turn_id, [...(byTurn.get(m.turn_id) ?? []), m.role]);
    for (const roles of byTurn.values()) assert.deepEqual(roles, ['user', 'assistant']);
    // One request after the other: none began before the one before it had ended.
    const requests = (await g.fake.requests(8)).sort((a, b) => a.number - b.number);
    for (let i = 1; i < requests.length; i++) assert.ok(requests[i].at_ms >= requests[i - 1].ended_ms - 1, `request ${i} overlaps`);
  });

  test('threads run side by side', async () => {
    await g.fake.clear();
    const all = await Promise.all(Array.from({ length: 20 }, () => g.chat('[tokens 5] [first 300]', { thread_id: fresh() })));
    assert.ok(all.every((r) => r.state === 'done'));
    const requests = await g.fake.requests(20);
    const overlap = requests.filter((r) => r.at_ms < Math.min(...requests.map((x) => x.ended_ms))).length;
    assert.ok(overlap > 10, `only ${overlap} ran at once`);
  });
});

eachBackend('cancelling', (start) => {
  const g = start();

  const running = async (thread = fresh()) => {
    const s = await g.stream('[tokens 2000] [delay 20]', { thread_id: thread });
    await s.until((e) => e.filter((x) => x.json.type === 'TEXT_MESSAGE_CONTENT').length > 3);
    return s;
  };

  test('stops the model, keeps what was said, and the thread goes on', async () => {
    const s = await running();
    const r = await g.post(`/api/turns/${s.turnId}/cancel`);
    assert.equal(r.status, 202);
    const events = await s.all();
    checkEvents(events);
    assert.equal(events.at(-1).json.type, 'RUN_FINISHED');
    assert.equal((await g.turn(s.turnId)).state, 'cancelled');
    await eventually(async () => (await g.fake.requests(1))[0].end === 'client gone', { what: 'the end of the upstream call' });
    const messages = await g.messages(s.threadId);
    assert.deepEqual(messages.map((m) => m.role), ['user', 'assistant']);
    const kept = typeof messages[1].content === 'string' ? messages[1].content : messages[1].content[0].text;
    assert.ok(view(events).text.startsWith(kept.slice(0, 20)));
    assert.match((await g.chat('[echo-messages]', { thread_id: s.threadId })).message.content, /^3 messages/);
  });

  test('an end is an end', async () => {
    const { turn_id: id } = await g.chat('[say done]');
    const r = await g.post(`/api/turns/${id}/cancel`);
    assert.deepEqual([r.status, r.json.state], [202, 'done']);
    assert.equal((await g.turn(id)).state, 'done');
  });

  test('one that waits never begins', async () => {
    const s = await running();
    const two = await g.chat('[say never]', { thread_id: s.threadId, wait: false });
    assert.equal(two.queued, true);
    assert.equal((await g.post(`/api/turns/${two.turn_id}/cancel`)).status, 202);
    await g.post(`/api/turns/${s.turnId}/cancel`);
    assert.equal((await g.ended(two.turn_id)).state, 'cancelled');
    assert.ok(!JSON.stringify(await g.fake.requests(3)).includes('"[say never]"}]'));
    const end = (await (await g.follow(two.turn_id)).all()).at(-1).json;
    assert.equal(end.type, 'RUN_FINISHED');
  });

  test('a whole thread', async () => {
    const s = await running();
    const waiting = await Promise.all([1, 2, 3].map(() => g.chat('x', { thread_id: s.threadId, wait: false })));
    assert.equal((await g.post(`/api/threads/${s.threadId}/cancel`)).status, 202);
    for (const id of [s.turnId, ...waiting.map((w) => w.turn_id)]) assert.equal((await g.ended(id)).state, 'cancelled');
  });

  test('before the first token, while the provider keeps silent', async () => {
    const s = await g.stream('[hang]');
    await sleep(200);
    await g.post(`/api/turns/${s.turnId}/cancel`);
    checkEvents(await s.all(5000));
    assert.equal((await g.turn(s.turnId)).state, 'cancelled');
  });

  test('a client that goes away cancels nothing', async () => {
    const s = await g.stream('[tokens 20] [delay 20]');
    await s.until((e) => e.length > 3);
    s.close();
    assert.equal((await g.ended(s.turnId)).state, 'done');
    assert.equal((await g.messages(s.threadId))[1].content.trim().split(' ').length, 20);
  });
});
