// Saying something else, and asking again: in a fork of the thread.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eachBackend, fresh } from './harness.mjs';

const said = async (g, id) => (await g.messages(id)).map((m) => `${m.role}: ${typeof m.content === 'string' ? m.content : '…'}`);

eachBackend('edit and regenerate', (start) => {
  const g = start();

  async function conversation() {
    const id = fresh();
    await g.post('/api/threads', { id, title: 'Original' });
    const turns = [];
    for (const word of ['one', 'two', 'three']) turns.push((await g.chat(`[say ${word}]`, { thread_id: id })).turn_id);
    return { id, turns, messages: await g.messages(id) };
  }

  test('other words in the place of a message', async () => {
    const t = await conversation();
    const r = await g.chat('[say zwei]', { thread_id: t.id, edit_of: t.messages[2].id });
    assert.notEqual(r.thread_id, t.id);
    assert.equal(r.message.content, 'zwei');
    assert.deepEqual(await said(g, r.thread_id), ['user: [say one]', 'assistant: one', 'user: [say zwei]', 'assistant: zwei']);
    const fork = (await g.get(`/api/threads/${r.thread_id}`)).json;
    assert.deepEqual([fork.title, fork.forked_from], ['Original', t.id]);
    assert.equal((await g.messages(t.id)).length, 6);
    const again = await g.chat('[echo-messages]', { thread_id: r.thread_id });
    assert.match(again.message.content, /^5 messages/);
  });

  test('the first message, and one in a fork', async () => {
    const t = await conversation();
    const r = await g.chat('[say uno]', { thread_id: t.id, edit_of: t.messages[0].id });
    assert.deepEqual(await said(g, r.thread_id), ['user: [say uno]', 'assistant: uno']);
    const [first] = await g.messages(r.thread_id);
    const second = await g.chat('[say un]', { thread_id: r.thread_id, edit_of: first.id });
    assert.deepEqual(await said(g, second.thread_id), ['user: [say un]', 'assistant: un']);
  });

  test('the same words again', async () => {
    const t = await conversation();
    const r = await g.post('/api/chat', { thread_id: t.id, regenerate: t.turns[1] });
    assert.equal(r.status, 200, r.text);
    assert.equal(r.headers['x-thread-id'], r.json.thread_id);
    assert.notEqual(r.json.turn_id, t.turns[1]);
    assert.deepEqual(await said(g, r.json.thread_id), ['user: [say one]', 'assistant: one', 'user: [say two]', 'assistant: two']);
    const image = await g.chat(undefined, { content: [{ type: 'text', text: '[say seen]' }, { type: 'image', media_type: 'image/png', data: 'aGVsbG8=' }] });
    const second = await g.post('/api/chat', { thread_id: image.thread_id, regenerate: image.turn_id });
    assert.equal(second.json.message.content, 'seen');
    assert.deepEqual((await g.messages(second.json.thread_id))[0].content, (await g.messages(image.thread_id))[0].content);
  });

  test('once for each turn_id, also at the same time', async () => {
    const t = await conversation();
    const turn = fresh('edit');
    const body = { message: '[say zwei] [delay 20]', thread_id: t.id, edit_of: t.messages[2].id, turn_id: turn };
    const answers = await Promise.all(Array.from({ length: 5 }, () => g.post('/api/chat', body)));
    answers.push(await g.post('/api/chat', body));
    assert.deepEqual(answers.map((a) => a.status), Array(6).fill(200));
    assert.equal(new Set(answers.map((a) => a.json.thread_id)).size, 1);
    assert.deepEqual(await g.query(`SELECT COUNT(*) FROM threads WHERE forked_from = '${t.id}'`), [['1']]);
    assert.equal((await g.messages(answers[0].json.thread_id)).length, 4);
  });

  test('what cannot be', async () => {
    const t = await conversation();
    const status = async (body) => (await g.post('/api/chat', body)).status;
    assert.equal(await status({ message: 'x', thread_id: t.id, edit_of: 'none' }), 404);
    assert.equal(await status({ message: 'x', thread_id: t.id, edit_of: t.messages[1].id }), 404);
    assert.equal(await status({ thread_id: t.id, regenerate: 'none' }), 404);
    assert.equal(await status({ thread_id: 'none', regenerate: t.turns[0] }), 404);
    assert.equal(await status({ regenerate: t.turns[0] }), 400);
    assert.equal(await status({ message: 'x', edit_of: t.messages[0].id }), 400);
    assert.equal(await status({ message: 'x', thread_id: t.id, regenerate: t.turns[0] }), 400);
    assert.equal(await status({ thread_id: t.id, edit_of: t.messages[0].id }), 400);
    assert.equal(await status({ thread_id: t.id, edit_of: t.messages[0].id, regenerate: t.turns[0] }), 400);
    assert.deepEqual(await g.query(`SELECT COUNT(*) FROM threads WHERE forked_from = '${t.id}'`), [['0']]);
  });

  test('over the WebSocket', async () => {
    const t = await conversation();
    const s = await g.socket();
    const edited = await s.chat({ threadId: t.id, editOf: t.messages[4].id, message: '[say drei]' });
    assert.notEqual(edited.threadId, t.id);
    await s.end(edited.runId);
    assert.deepEqual((await said(g, edited.threadId)).slice(4), ['user: [say drei]', 'assistant: drei']);
    const again = await s.chat({ threadId: edited.threadId, regenerate: edited.runId });
    await s.end(again.runId);
    assert.deepEqual((await said(g, again.threadId)).slice(4), ['user: [say drei]', 'assistant: drei']);
    await s.close();
  });
});
