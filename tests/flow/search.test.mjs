// Full-text search over one's own messages.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createUser, eachBackend, fresh } from './harness.mjs';

const find = async (g, q, more = '') => {
  const r = await g.get(`/api/search?q=${encodeURIComponent(q)}${more}`);
  assert.equal(r.status, 200, r.text);
  return r.json;
};
const texts = (hits) => hits.map((h) => h.snippet.map((p) => (p.match ? `<${p.text}>` : p.text)).join(''));

eachBackend('search', (start, backend) => {
  const g = start();

  test('finds what both said, newest first, with marks', async () => {
    const thread = fresh('s');
    await g.post('/api/threads', { id: thread, title: 'Travel' });
    await g.chat('[say The ferry to Heligoland leaves at nine] When does the ferry leave?', { thread_id: thread });
    const { hits, complete } = await find(g, 'ferry');
    assert.equal(complete, true);
    assert.deepEqual(hits.map((h) => [h.role, h.seq, h.thread_id, h.title]), [['assistant', 2, thread, 'Travel'], ['user', 1, thread, 'Travel']]);
    assert.equal(texts(hits)[0], 'The <ferry> to Heligoland leaves at nine');
    const [message] = (await g.messages(thread)).filter((m) => m.seq === 2);
    assert.deepEqual([hits[0].message_id, hits[0].created_at], [message.id, message.created_at]);
  });

  test('all words must be there, the last one as a beginning; case does not count', async () => {
    await g.chat('[say ok] The MANATEE swims in version 3.14 at someone@example.org');
    for (const q of ['manatee', 'mana', 'swims man', 'example manatee', 'someone@example.org', '3.14', '"manatee"']) {
      assert.equal((await find(g, q)).hits.length, 1, q);
    }
    for (const q of ['mana swims', 'manatee elephant', 'anatee']) {
      assert.equal((await find(g, q)).hits.length, 0, q);
    }
  });

  test('accents', { skip: backend === 'postgres' && 'folding needs an extension there' }, async () => {
    await g.chat('[say ok] Ein Café in Zürich');
    assert.equal((await find(g, 'cafe zurich')).hits.length, 1);
    assert.equal((await find(g, 'CAFÉ')).hits.length, 1);
  });

  test('other scripts', async () => {
    await g.chat('[say ok] Где находится библиотека');
    assert.equal((await find(g, 'библио')).hits.length, 1);
    assert.equal((await find(g, 'БИБЛИОТЕКА')).hits.length, 1);
  });

  test('pages without gaps or repetitions', async () => {
    const thread = fresh('pages');
    for (let i = 0; i < 7; i++) await g.chat(`[say ok] walrus ${i}`, { thread_id: thread });
    const seen = [];
    let cursor = '';
    do {
      const page = await find(g, 'walrus', `&limit=3${cursor}`);
      seen.push(...page.hits.map((h) => h.seq));
      cursor = page.next_cursor ? `&cursor=${encodeURIComponent(page.next_cursor)}` : '';
    } while (cursor);
    assert.deepEqual(seen, [13, 11, 9, 7, 5, 3, 1]);
    assert.equal((await g.get('/api/search?q=walrus&cursor=1.x.y')).status, 400);
  });

  test('what people type is never an error', async () => {
    const hostile = ['', ' ', '"', '\'', '\'\'', '""', '\\', '\\\'', '*', 'a*', '*a', '(', ')', '((a', 'a AND', 'AND', 'OR', 'NOT', 'NEAR(a b)', 'a NEAR/2 b',
      'text:a', 'search_words:a', '^a', '-a', '+a', 'a:*', 'a & b', 'a | !b', '<->', 'a <-> b', '😀', '😀 a', 'a 😀', '👩‍👩‍👧', '\u0301', 'e\u0301', '‮', '\u0001\u0002\u0003', '%', '_', '; DROP TABLE messages',
      '你好', 'x'.repeat(3000), 'a '.repeat(2000), '"'.repeat(2000), '😀'.repeat(500), '–—…“”', 'a\nb\tc'];
    for (const q of hostile) await find(g, q);
    assert.deepEqual((await g.get('/api/search')).json.hits, []);
    assert.equal((await find(g, '😀')).hits.length, 0);
  });

  test('a snippet shows no marks of others', async () => {
    await g.chat('[say ok] bison \u0002not\u0003 <b>bold</b> & "quoted"');
    const { hits } = await find(g, 'bison');
    assert.deepEqual(hits[0].snippet.filter((p) => p.match), [{ text: 'bison', match: true }]);
    assert.ok(!/[\u0001-\u001f]/.test(texts(hits)[0]));
  });

  test('deleted threads are not found, forks are', async () => {
    const a = await g.chat('[say ok] axolotl');
    const fork = (await g.post(`/api/threads/${a.thread_id}/fork`, { turn_id: a.turn_id })).json.id;
    assert.deepEqual((await find(g, 'axolotl')).hits.map((h) => h.thread_id).sort(), [a.thread_id, fork].sort());
    await g.request('DELETE', `/api/threads/${a.thread_id}`);
    assert.deepEqual((await find(g, 'axolotl')).hits.map((h) => h.thread_id), [fork]);
    await g.request('DELETE', `/api/threads/${fork}`);
    assert.deepEqual((await find(g, 'axolotl')).hits, []);
    assert.deepEqual(await g.query(`SELECT COUNT(*) FROM search_rows WHERE text LIKE '%axolotl%'`), [['0']]);
  });

  test('results of tools and pictures are passed over', async () => {
    const r = await g.chat(undefined, { content: [{ type: 'text', text: '[say ok] a pangolin' }, { type: 'image', media_type: 'image/png', data: 'aGVsbG8=' }] });
    assert.equal(r.state, 'done');
    assert.equal((await find(g, 'pangolin')).hits.length, 1);
    assert.equal((await find(g, 'aGVsbG8')).hits.length, 0);
  });
});

eachBackend('search of several users', (start) => {
  const g = start({ env: { ASSISTANT_API_KEY: 'admin-key-0123456789' }, key: 'admin-key-0123456789' });

  test('nobody finds what others said', async () => {
    const other = await createUser(g, 'o\'brien\\x');
    await g.chat('[say ok] the okapi is mine');
    const theirs = { headers: other.headers };
    assert.equal((await find(g, 'okapi')).hits.length, 1);
    const seen = await g.get('/api/search?q=okapi', theirs);
    assert.deepEqual([seen.status, seen.json.hits], [200, []]);
    assert.equal((await g.post('/api/chat', { message: '[say ok] my own okapi' }, theirs)).status, 200);
    const own = await g.get('/api/search?q=okapi', theirs);
    assert.deepEqual(own.json.hits.map((h) => h.snippet.map((p) => p.text).join('')), ['[say ok] my own okapi']);
    assert.equal((await find(g, 'okapi')).hits.length, 1);
  });
});
