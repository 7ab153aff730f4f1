// Threads get a title beside their first turn.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eachBackend, eventually, fresh } from './harness.mjs';

const titleOf = async (g, id) => (await g.get(`/api/threads/${id}`)).json.title;
const titled = (g, id) => eventually(() => titleOf(g, id), { what: `a title of ${id}` });
const asksForTitle = (r) => JSON.stringify(r.body).includes('You name conversations.');

eachBackend('titles', (start) => {
  const g = start({ env: { TITLE_MODEL: 'fake-title' } });

  test('the model of TITLE_MODEL gives it, beside the turn, and the stream tells it', async () => {
    await g.fake.clear();
    const s = await g.stream('[title "Plans for Rome."] [tokens 60] [delay 20]');
    const events = await s.all();
    const told = events.map((e) => e.json).find((e) => e.type === 'CUSTOM' && e.name === 'thread_title');
    assert.deepEqual(told?.value, { threadId: s.threadId, title: 'Plans for Rome' });
    assert.equal(await titleOf(g, s.threadId), 'Plans for Rome');
    assert.deepEqual((await g.messages(s.threadId)).map((m) => m.role), ['user', 'assistant']);
    const asked = (await g.fake.requests()).filter(asksForTitle);
    assert.equal(asked.length, 1);
    assert.equal(asked[0].body.model, 'fake-title');
    assert.ok(asked[0].body.max_tokens <= 24);
    const rows = await g.query(`SELECT model, key_owner FROM usage WHERE thread_id = '${s.threadId}' AND step = -1`);
    assert.deepEqual(rows, [['fake-title', 'operator']]);
  });

  test('only the first turn does', async () => {
    const id = fresh();
    await g.chat('[title First]', { thread_id: id });
    assert.equal(await titled(g, id), 'First');
    await g.fake.clear();
    await g.chat('[title Second]', { thread_id: id });
    await g.chat('[title Third]', { thread_id: id });
    assert.equal((await g.fake.requests()).filter(asksForTitle).length, 0);
    assert.equal(await titleOf(g, id), 'First');
  });

  test('the user\'s title stays, and nobody is asked for another', async () => {
    const { id } = (await g.post('/api/threads', { title: 'Mine' })).json;
    await g.fake.clear();
    await g.chat('[title Theirs]', { thread_id: id });
    const other = await g.chat('[title Other]');
    await titled(g, other.thread_id); // by now the first one would have been named, too
    assert.equal((await g.fake.requests()).filter(asksForTitle).length, 1);
    assert.equal(await titleOf(g, id), 'Mine');
  });

  test('a title given meanwhile stays', async () => {
    const s = await g.stream('[title Theirs] [tokens 100] [delay 20]');
    await g.request('PATCH', `/api/threads/${s.threadId}`, { body: { title: 'Mine' } });
    await s.all();
    await eventually(async () => Number((await g.query(`SELECT COUNT(*) FROM usage WHERE thread_id = '${s.threadId}' AND step = -1`))[0][0]) === 1
      || (await titleOf(g, s.threadId)) === 'Mine');
    assert.equal(await titleOf(g, s.threadId), 'Mine');
  });

  test('when the model fails, the first words are the title', async () => {
    const r = await g.chat('Where did I leave the key of the garden house, the one with the red ribbon? [title fail]');
    assert.equal(await titled(g, r.thread_id), 'Where did I leave the key of the garden house, the one with\u2026');
    const failed = await g.chat('[status 400] [title Not asked for]');
    assert.equal(failed.state, 'failed');
    assert.equal(await titled(g, failed.thread_id), '[status 400] [title Not asked for]');
  });

  test('requests of OpenAI\'s clients that name no thread are not worth a call', async () => {
    await g.fake.clear();
    const r = await g.post('/v1/chat/completions', { model: 'adjutant', messages: [{ role: 'user', content: 'Generate a title [say x]' }] });
    assert.equal(r.status, 200, r.text);
    assert.equal(await titled(g, r.headers['x-thread-id']), 'Generate a title [say x]');
    assert.equal((await g.fake.requests()).filter(asksForTitle).length, 0);
  });

  test('a fork keeps it', async () => {
    const r = await g.chat('[title Roots]');
    await titled(g, r.thread_id);
    const fork = await g.post(`/api/threads/${r.thread_id}/fork`, { turn_id: r.turn_id });
    assert.equal(fork.json.title, 'Roots');
  });
});

eachBackend('titles by default and switched off', (start) => {
  const on = start({ env: { TITLE_MODEL: '' } });
  const off = start({ env: { TITLE_MODEL: 'off' } });

  test('the conversation\'s model gives it', async () => {
    const r = await on.chat('[title Default]');
    assert.equal(await titled(on, r.thread_id), 'Default');
    const asked = (await on.fake.requests()).filter(asksForTitle);
    assert.deepEqual(asked.map((q) => q.body.model), ['fake-1']);
  });

  test('off', async () => {
    const r = await off.chat('[title No]');
    await off.chat('[say again]', { thread_id: r.thread_id });
    assert.equal(await titleOf(off, r.thread_id), null);
    assert.equal((await off.fake.requests()).filter(asksForTitle).length, 0);
  });
});
