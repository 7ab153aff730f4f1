// One's threads as a download: all of them, nobody else's, in little memory.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { begin, createUser, eachBackend, fresh, sleep } from './harness.mjs';

const KEY = 'admin-key-0123456789';
const MB = 1 << 20;

eachBackend('export', (start) => {
  const g = start({
    env: { ASSISTANT_API_KEY: KEY, ASAN_OPTIONS: 'detect_stack_use_after_return=0:abort_on_error=1:quarantine_size_mb=1' }, key: KEY,
  });
  const image = (bytes) => ({ type: 'image', media_type: 'image/png', data: bytes.toString('base64') });

  test('everything of one user, and nothing of another', async () => {
    const ann = await createUser(g, fresh('ann'));
    const bob = await createUser(g, fresh('bob'));
    const secret = fresh('secret-of-bob');
    await bob.chat(`[say ${secret}] ${secret}`);
    const ids = [];
    for (let i = 0; i < 120; i++) {
      const r = await ann.call('POST', '/api/threads', { title: `number ${i}` });
      ids.push(r.json.id);
    }
    const [busy, archived] = [ids[7], ids[60]];
    for (let i = 0; i < 3; i++) await ann.chat(`[say answer ${i}]`, { thread_id: busy });
    await ann.chat('[tool current_time {}]', { thread_id: archived });
    await ann.call('PATCH', `/api/threads/${archived}`, { archived: true });
    const r = await ann.call('GET', '/api/export');
    assert.equal(r.status, 200);
    assert.equal(r.headers['content-type'], 'application/json');
    assert.match(r.headers['content-disposition'], /^attachment; filename="adjutant-\d{4}-\d\d-\d\d\.json"$/);
    assert.equal(r.json.user_id, ann.user);
    assert.deepEqual(r.json.threads.map((t) => t.id).sort(), [...ids].sort());
    assert.ok(!r.text.includes(secret));
    const of = (id) => r.json.threads.find((t) => t.id === id);
    assert.deepEqual(of(busy).messages.map((m) => m.role), ['user', 'assistant', 'user', 'assistant', 'user', 'assistant']);
    const shown = (await ann.call('GET', `/api/threads/${busy}`)).json;
    assert.deepEqual(of(busy).messages, shown.messages);
    assert.ok(of(archived).archived_at);
    assert.deepEqual(of(ids[0]).messages, []);
    const one = await ann.call('GET', `/api/threads/${busy}/export`);
    assert.deepEqual(one.json, of(busy));
    assert.equal((await bob.call('GET', `/api/threads/${busy}/export`)).status, 404);
    assert.deepEqual((await bob.call('GET', '/api/export')).json.threads.length, 1);
    assert.equal((await ann.call('GET', `/api/threads/${busy}/export?format=pdf`)).status, 400);
    assert.equal((await begin(g.url, 'GET', '/api/export')).statusCode, 401);
  });

  test('a thread as Markdown', async () => {
    const { thread_id: id } = await g.chat('[say **Hello** there]');
    await g.request('PATCH', `/api/threads/${id}`, { body: { title: 'Über\nalles' } });
    await g.chat('[tool current_time {"time_zone":"UTC"}]', { thread_id: id });
    await g.post('/api/chat', { thread_id: id, content: [{ type: 'text', text: '[say seen]' }, image(Buffer.from('x')), { type: 'image', url: 'https://a.example/b.png' }] });
    const r = await g.get(`/api/threads/${id}/export?format=md`);
    assert.equal(r.headers['content-type'], 'text/markdown; charset=utf-8');
    assert.match(r.headers['content-disposition'], /^attachment; filename="thread-[0-9a-f-]+\.md"$/);
    const text = r.text.replace(/\d{4}-\d\d-\d\d \d\d:\d\d UTC/g, 'THEN');
    assert.ok(text.startsWith('# Über alles\n\nTHEN to THEN\n\n## You, THEN\n\n[say **Hello** there]\n\n## Assistant, THEN\n\n**Hello** there\n'), text);
    assert.match(text, /\nCalls current_time:\n\n```json\n\{"time_zone":"UTC"\}\n```\n/);
    assert.match(text, /\n## Result of current_time, THEN\n\n```\n[^`]+\n```\n/);
    assert.match(text, /\[say seen\]\n\n\*\(an image\)\*\n\n\[Image\]\(<https:\/\/a\.example\/b\.png>\)\n/);
  });

  test('a large store goes to a slow reader in little memory', async () => {
    const ann = await createUser(g, fresh('ann'));
    const photo = Buffer.alloc(3 * MB, 7);
    let size = 0;
    for (let i = 0; i < 16; i++) {
      const r = await ann.call('POST', '/api/chat', { content: [{ type: 'text', text: '[say ok]' }, image(photo)], thread_id: `album-${i}` });
      assert.equal(r.status, 200, r.text);
      size += 4 * MB;
    }
    const before = g.resident();
    let most = before;
    const response = await begin(g.url, 'GET', '/api/export', { headers: ann.headers });
    let got = 0;
    for await (const chunk of response) {
      got += chunk.length;
      if (got % (2 * MB) >= chunk.length) continue;
      await sleep(10);
      most = Math.max(most, g.resident());
    }
    assert.ok(got > size, `${got} of ${size}`);
    assert.ok(most - before < size / 2, `it grew by ${(most - before) / MB} MB for ${got / MB} MB`);
  });
});
