// SIGKILL at every write boundary of a turn with tools: nothing lost, nothing done twice, and the
// client that comes back sees one whole answer.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { BACKENDS, checkEvents, Crashes, fresh, view } from './harness.mjs';

const MESSAGE = '[reason 3] [say looking] [tool calculate {"expression":"6*7"}] [tool current_time {}] [then] [tool calculate {"expression":"2^5"}] [then] [say all done]';
const ROLES = ['user', 'assistant', 'tool', 'tool', 'assistant', 'tool', 'assistant'];

async function check(g, threadId, turnId, events) {
  assert.equal((await g.turn(turnId)).state, 'done', JSON.stringify(await g.turn(turnId)));
  const messages = await g.messages(threadId);
  assert.deepEqual(messages.map((m) => m.role), ROLES);
  assert.equal(new Set(messages.map((m) => m.id)).size, ROLES.length);

  const effects = await g.query(`SELECT tool, state, idempotency_key FROM effects WHERE turn_id = '${turnId}' ORDER BY call_id`);
  assert.deepEqual(effects.map((e) => e.slice(0, 2)), [['calculate', 'done'], ['current_time', 'done'], ['calculate', 'done']]);
  assert.equal(new Set(effects.map((e) => e[2])).size, 3);
  const calls = messages.flatMap((m) => (Array.isArray(m.content) ? m.content : []).filter((b) => b.type === 'tool_call').map((b) => b.id));
  assert.deepEqual(messages.filter((m) => m.role === 'tool').map((m) => m.tool_call_id), calls);

  // What the client holds is what is stored, though it saw the stream in two pieces.
  assert.equal(events.at(-1).json.type, 'RUN_FINISHED');
  const v = view(events);
  assert.equal(v.text, 'looking\nall done');
  assert.deepEqual([...v.calls.values()].map((c) => [c.name, c.args || '{}', c.results?.length]),
    [['calculate', '{"expression":"6*7"}', 1], ['current_time', '{}', 1], ['calculate', '{"expression":"2^5"}', 1]]);

  // Who comes late reads the same from its beginning, in order.
  const stored = await (await g.follow(turnId)).all();
  checkEvents(stored);
  assert.equal(view(stored).text, v.text);
}

for (const backend of BACKENDS) {
  describe(`crashes (${backend})`, () => {
    let crashes;
    before(async () => { crashes = await Crashes.prepare({ backend }); });
    after(() => crashes.done());

    for (const suffix of ['', ':after']) {
      test(`right ${suffix ? 'after' : 'before'} each write`, async (t) => {
        const n = await crashes.each(suffix, MESSAGE, check);
        t.diagnostic(`${n} boundaries`);
        assert.ok(n >= 6, `only ${n} boundaries were found: is ADJUTANT_CRASH_AT at work?`);
      });
    }

    test('killed at any moment of a long answer', async () => {
      const g = await crashes.copy();
      await g.begin();
      const [threadId, turnId] = [fresh('long'), fresh('turn')];
      const events = [];
      let s = await g.stream('[tokens 60] [delay 20]', { thread_id: threadId, turn_id: turnId });
      for (const pause of [3, 12, 25]) {
        await s.until((e) => e.filter((x) => x.json.type === 'TEXT_MESSAGE_CONTENT').length >= pause);
        await g.kill();
        await s.all();
        events.push(...s.events);
        await g.begin();
        s = await g.follow(turnId, events.findLast((e) => e.id).id);
      }
      events.push(...await s.all());
      assert.equal(events.at(-1).json.type, 'RUN_FINISHED');
      const text = (await g.messages(threadId))[1].content;
      assert.equal(text.trim().split(' ').length, 60);
      assert.equal(view(events).text, text);
      await g.stop();
    });
  });
}
