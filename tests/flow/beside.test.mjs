// Commands that work on the database of a running server.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eachBackend, eventually } from './harness.mjs';

eachBackend('a command beside a running server', (start) => {
  const g = start();

  test('leaves its database as it was', async () => {
    const { thread_id } = await g.chat('[say before]');
    const keys = [];
    for (let i = 0; i < 4; i++) {
      const r = await g.command(['keys', 'create', '--user', 'me', '--allow-operator-llm']);
      assert.equal(r.code, 0, r.stderr);
      keys.push({ 'X-API-Key': r.stdout.trim() });
      await eventually(async () => (await g.get('/api/me')).status === 401, { what: 'the first key\'s effect' });
      for (const headers of keys) assert.equal((await g.get('/api/me', { headers })).status, 200, `key ${keys.indexOf(headers)} of ${i + 1}`);
      assert.equal((await g.chat(`[say after ${i}]`, { thread_id }, { headers: keys[i] })).state, 'done');
    }
    assert.deepEqual(await g.query('PRAGMA integrity_check'), [['ok']]);
    await g.restart();
    const r = await g.get(`/api/threads/${thread_id}`, { headers: keys[0] });
    assert.equal(r.json.messages?.length, 10, r.text);
  });
}, ['sqlite']);
