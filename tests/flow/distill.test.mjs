// A long thread: its older part is condensed beside the conversation, and nothing of it leaves the store.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eachBackend, eventually, fresh } from './harness.mjs';

const TURNS = 152; // more messages than three quarters of a prompt's 400

eachBackend('distillation', (start) => {
  const g = start();

  test('the prompt gets shorter, the thread does not', async () => {
    const thread = fresh();
    for (let i = 1; i <= TURNS; i++) {
      await g.chat(`[say noted ${i}] remember ${i}`, { thread_id: thread, turn_id: `${thread}-${i}` });
    }
    await eventually(async () => {
      const [[seq]] = await g.query(`SELECT summary_seq FROM threads WHERE id = '${thread}'`);
      return Number(seq) > 100;
    });
    const seen = await g.chat('[echo-messages]', { thread_id: thread });
    assert.ok(Number.parseInt(seen.message.content, 10) < 150, seen.message.content);
    const prompt = await g.chat('[echo-system]', { thread_id: thread });
    assert.match(prompt.message.content, /The conversation so far, in short:/);
    const [[messages]] = await g.query(`SELECT COUNT(*) FROM messages WHERE thread_id = '${thread}'`);
    assert.equal(Number(messages), 2 * (TURNS + 2));
    const [[calls]] = await g.query(`SELECT COUNT(*) FROM usage WHERE thread_id = '${thread}' AND step = 0`);
    assert.equal(Number(calls), 1, 'its cost is on the books');
  });
});
