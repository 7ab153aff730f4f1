// What a client sees of a thread beside its text: messages that wait, and images by address.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { begin, createUser, eachBackend, fresh } from './harness.mjs';

const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

async function bytes(g, path, headers = g.headers) {
  const response = await begin(g.url, 'GET', path, { headers });
  const chunks = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) };
}

eachBackend('transcript', (start) => {
  const g = start({ env: { ASSISTANT_API_KEY: 'admin-key-0123456789' }, key: 'admin-key-0123456789' });
  const image = (data = PNG) => ({ type: 'image', media_type: 'image/png', data: data.toString('base64') });
  const thread = async (id, query = '') => (await g.get(`/api/threads/${encodeURIComponent(id)}${query}`)).json;

  test('messages that wait are shown until their turn begins', async () => {
    const id = fresh();
    const first = await g.stream('[tokens 2000] [delay 20]', { thread_id: id });
    const second = await g.chat('[say second]', { thread_id: id, wait: false });
    const third = (await g.post('/api/chat', { content: [{ type: 'text', text: 'look' }, image()], thread_id: id, wait: false })).json;
    assert.deepEqual([second.queued, third.queued], [true, true]);
    const shown = await thread(id);
    assert.deepEqual(shown.open_turn, { id: first.turnId, state: 'running' });
    assert.deepEqual(shown.queued.map((m) => [m.turn_id, m.id]), [[second.turn_id, `${second.turn_id}-u`], [third.turn_id, `${third.turn_id}-u`]]);
    assert.equal(shown.queued[0].content, '[say second]');
    assert.match(shown.queued[0].created_at, /^\d{4}-.*Z$/);
    const [text, linked] = shown.queued[1].content;
    assert.deepEqual([text.text, linked.media_type, linked.data], ['look', 'image/png', undefined]);
    assert.deepEqual((await bytes(g, linked.href)).body, PNG);
    await g.post(`/api/turns/${first.turnId}/cancel`);
    await g.ended(third.turn_id);
    const after = await thread(id, '?images=link');
    assert.deepEqual([after.queued, after.open_turn], [[], null]);
    assert.deepEqual(after.messages.filter((m) => m.role === 'user').map((m) => m.turn_id), [first.turnId, second.turn_id, third.turn_id]);
    assert.equal(after.messages.find((m) => m.turn_id === third.turn_id).content[1].href, linked.href);
  });

  test('a thread with photos opens without them, and they are cached', async () => {
    const id = fresh('ph#t%o?');
    const photo = Buffer.concat([PNG, Buffer.alloc(1_500_000, 7)]);
    for (let i = 0; i < 8; i++) {
      const r = await g.post('/api/chat', { content: [{ type: 'text', text: `[say ${i}]` }, image(photo), image()], thread_id: id });
      assert.equal(r.status, 200, r.text);
    }
    const whole = await g.get(`/api/threads/${encodeURIComponent(id)}`);
    assert.equal(whole.json.has_more, true, 'bytes bound a page');
    const r = await g.get(`/api/threads/${encodeURIComponent(id)}?images=link`);
    assert.ok(r.text.length < 10_000, `${r.text.length}`);
    assert.deepEqual([r.json.messages.length, r.json.has_more], [16, false]);
    const [, big, small] = r.json.messages[14].content;
    const got = await bytes(g, big.href);
    assert.deepEqual([got.status, got.headers['content-type'], got.headers['x-content-type-options']], [200, 'image/png', 'nosniff']);
    assert.equal(got.headers['content-security-policy'], "default-src 'none'; sandbox");
    assert.equal(got.headers['cache-control'], 'private, max-age=31536000, immutable');
    assert.equal(got.headers.vary, 'Cookie, Authorization, X-API-Key');
    assert.ok(got.body.equals(photo));
    assert.deepEqual((await bytes(g, small.href)).body, PNG);
    assert.equal((await bytes(g, small.href.replace(/1$/, '2'))).status, 404);
    assert.equal((await g.get(`/api/threads/${encodeURIComponent(id)}?images=small`)).status, 400);
  });

  test('an image belongs to its user', async () => {
    const id = fresh();
    await g.post('/api/chat', { content: [{ type: 'text', text: '[say ok]' }, image()], thread_id: id });
    const { href } = (await thread(id, '?images=link')).messages[0].content[1];
    assert.equal((await bytes(g, href)).status, 200);
    const other = await createUser(g, fresh('other'));
    assert.equal((await bytes(g, href, other.headers)).status, 404);
    const [message] = (await thread(id)).messages;
    assert.equal(message.content[1].data, PNG.toString('base64'), 'asked without link it is there whole');
  });
});
