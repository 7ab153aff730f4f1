// Threads, checkpoints, usage, and what an operator looks at.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eachBackend, eventually, fresh, request } from './harness.mjs';

eachBackend('threads', (start) => {
  const g = start();

  test('create, get, rename, archive, delete', async () => {
    const id = fresh('made');
    const made = await g.post('/api/threads', { id, title: 'Plans' });
    assert.equal(made.status, 201);
    assert.equal(made.headers.location, `/api/threads/${id}`);
    assert.deepEqual([made.json.id, made.json.title, made.json.message_count, made.json.open_turn], [id, 'Plans', 0, null]);
    assert.match(made.json.created_at, /^\d{4}-\d\d-\d\dT.*Z$/);
    assert.equal((await g.post('/api/threads', { id })).status, 409);
    const { turn_id: turn } = await g.chat('[tool current_time {}]', { thread_id: id });
    const renamed = await g.request('PATCH', `/api/threads/${id}`, { body: { title: 'Größere Pläne' } });
    assert.deepEqual([renamed.status, renamed.json.title], [200, 'Größere Pläne']);
    const archived = await g.request('PATCH', `/api/threads/${id}`, { body: { archived: true } });
    assert.ok(archived.json.archived_at);
    const ids = async (query) => (await g.get(`/api/threads${query}`)).json.threads.map((t) => t.id);
    assert.ok(!(await ids('')).includes(id));
    assert.ok((await ids('?archived=1')).includes(id));
    assert.equal((await g.request('DELETE', `/api/threads/${id}`)).status, 204);
    assert.equal((await g.get(`/api/threads/${id}`)).status, 404);
    for (const table of ['messages', 'checkpoints', 'events', 'effects']) {
      assert.deepEqual(await g.query(`SELECT count(*) FROM ${table} WHERE turn_id = '${turn}'`), [['0']], table);
    }
  });

  test('a list in pages, newest first, without gaps or repetitions', async () => {
    const made = [];
    for (let i = 0; i < 25; i++) made.unshift((await g.post('/api/threads', {})).json.id);
    const seen = [];
    let cursor = '';
    do {
      const page = (await g.get(`/api/threads?limit=10${cursor}`)).json;
      assert.ok(page.threads.length <= 10);
      seen.push(...page.threads.map((t) => t.id));
      cursor = page.next_cursor ? `&cursor=${encodeURIComponent(page.next_cursor)}` : '';
    } while (cursor);
    assert.deepEqual(seen.slice(0, 25), made);
    assert.equal(new Set(seen).size, seen.length);
  });

  test('messages in pages', async () => {
    const id = fresh();
    for (let i = 0; i < 6; i++) await g.chat(`[say ${i}]`, { thread_id: id });
    const newest = (await g.get(`/api/threads/${id}?limit=5`)).json;
    assert.deepEqual(newest.messages.map((m) => m.seq), [8, 9, 10, 11, 12]);
    assert.equal(newest.has_more, true);
    assert.equal(newest.message_count, 12);
    const before = (await g.get(`/api/threads/${id}?limit=50&before=8`)).json;
    assert.deepEqual([before.messages.map((m) => m.seq), before.has_more], [[1, 2, 3, 4, 5, 6, 7], false]);
  });

  test('a running thread shows its turn and can\'t be deleted', async () => {
    const s = await g.stream('[tokens 500] [delay 20]');
    const t = (await g.get(`/api/threads/${s.threadId}`)).json;
    assert.deepEqual(t.open_turn, { id: s.turnId, state: 'running' });
    assert.equal((await g.request('DELETE', `/api/threads/${s.threadId}`)).status, 409);
    await g.post(`/api/threads/${s.threadId}/cancel`);
    await s.all();
    assert.equal((await g.request('DELETE', `/api/threads/${s.threadId}`)).status, 204);
  });

  test('checkpoints, and a fork from one', async () => {
    const id = fresh();
    const turns = [];
    for (const text of ['one', 'two', 'three']) turns.push((await g.chat(`[tool current_time {}] [then] [say ${text}]`, { thread_id: id })).turn_id);
    const { checkpoints } = (await g.get(`/api/threads/${id}/checkpoints`)).json;
    assert.deepEqual(checkpoints.map((c) => c.turn_id), turns.toReversed?.() ?? [...turns].reverse());
    assert.ok(checkpoints.every((c) => c.turn_state === 'done'));
    const fork = await g.post(`/api/threads/${id}/fork`, { turn_id: turns[1] });
    assert.equal(fork.status, 201, fork.text);
    assert.equal(fork.json.forked_from, id);
    assert.equal(fork.headers.location, `/api/threads/${fork.json.id}`);
    const messages = await g.messages(fork.json.id);
    assert.deepEqual(messages.map((m) => m.role), ['user', 'assistant', 'tool', 'assistant', 'user', 'assistant', 'tool', 'assistant']);
    const r = await g.chat('[echo-messages]', { thread_id: fork.json.id });
    assert.match(r.message.content, /^9 messages/);
    assert.equal((await g.messages(id)).length, 12);
    assert.equal((await g.post(`/api/threads/${id}/fork`, { turn_id: turns[0], thread_id: id })).status, 409);
    assert.equal((await g.post(`/api/threads/${id}/fork`, { turn_id: 'none' })).status, 404);
  });

  test('what was used, by model and key owner', async () => {
    const before = (await g.get('/api/usage')).json.usage[0] ?? { calls: 0, input_tokens: 0 };
    const one = await g.chat('[tool current_time {}]');
    const { usage } = (await g.get('/api/usage')).json;
    assert.equal(usage.length, 1);
    assert.deepEqual([usage[0].provider, usage[0].key_owner, usage[0].calls - before.calls], ['anthropic', 'operator', 2]);
    assert.equal(usage[0].input_tokens - before.input_tokens, one.usage.input_tokens);
    const t = (await g.get(`/api/threads/${one.thread_id}`)).json;
    assert.deepEqual([t.total_input_tokens, t.total_output_tokens, t.model_provider], [one.usage.input_tokens, one.usage.output_tokens, 'anthropic']);
    assert.deepEqual((await g.get('/api/usage?from=2001-01-01T00:00:00Z&to=2002-01-01T00:00:00Z')).json.usage, []);
    const byDay = (await g.get('/api/usage?by=day&tz=Pacific/Auckland')).json;
    assert.equal(byDay.tz, 'Pacific/Auckland');
    assert.ok(byDay.usage.length === 31 || byDay.usage.length === 32, `${byDay.usage.length}`);
    assert.deepEqual(byDay.usage.map((d) => d.date), byDay.usage.map((d) => d.date).sort());
    const sum = (name) => byDay.usage.reduce((n, d) => n + d[name], 0);
    assert.deepEqual([sum('calls'), sum('input_tokens'), sum('output_tokens')], [usage[0].calls, usage[0].input_tokens, usage[0].output_tokens]);
    assert.equal((await g.get('/api/usage?by=day&from=2001-01-01T00:00:00Z&to=2001-09-01T00:00:00Z')).json.usage.length, 243);
  });

  test('rows of a turn do not grow with the thread', async () => {
    const id = fresh();
    const count = async () => Object.fromEntries(await Promise.all(['messages', 'checkpoints', 'events', 'effects', 'usage', 'turns']
      .map(async (t) => [t, Number((await g.query(`SELECT count(*) FROM ${t} WHERE ${t === 'turns' ? 'id' : 'turn_id'} IN (SELECT id FROM turns WHERE thread_id = '${id}')`))[0][0])])));
    const growth = [];
    for (let i = 0; i < 6; i++) {
      const before = await count();
      await g.chat('[tool current_time {}]', { thread_id: id });
      const after = await count();
      growth.push(Object.fromEntries(Object.keys(after).map((k) => [k, after[k] - before[k]])));
    }
    for (const one of growth.slice(1)) assert.deepEqual(one, growth[1]);
  });
});

eachBackend('operation', (start, backend) => {
  const g = start();

  test('health', async () => {
    const r = await request(g.url, 'GET', '/api/health');
    assert.equal(r.status, 200);
    assert.equal(r.json.status, 'ok');
    assert.deepEqual([r.json.database.backend, r.json.database.healthy], [backend === 'postgres' ? 'postgresql' : 'sqlite', true]);
    assert.equal(r.json.provider.configured, true);
    assert.deepEqual((await request(g.url, 'GET', '/api/health?live=1')).json, { status: 'ok' });
    assert.equal((await request(g.url, 'HEAD', '/api/health')).text, '');
  });

  test('metrics that a scraper can read', async () => {
    await g.chat('[say x]');
    const r = await g.get('/metrics');
    assert.match(r.headers['content-type'], /^text\/plain; version=0.0.4/);
    for (const line of r.text.trim().split('\n')) {
      assert.match(line, /^(# (HELP|TYPE) [a-z_:][a-z0-9_:]* .+|[a-z_:][a-z0-9_:]*(\{[^}]*\})? -?[0-9.e+-]+(Inf)?)$/i, line);
    }
    assert.match(r.text, /^adjutant_/m);
  });

  test('the OpenAPI document names every route of the documentation', async () => {
    const doc = (await g.get('/api/openapi.json')).json;
    assert.match(doc.openapi, /^3\.1/);
    for (const path of ['/api/chat', '/api/turns/{id}/events', '/api/threads/{id}/fork', '/api/login', '/api/usage', '/api/health']) {
      assert.ok(doc.paths[path], path);
    }
  });

  test('models and the page', async () => {
    const { models, configured } = (await g.get('/api/models')).json;
    assert.equal(configured, true);
    assert.ok(models.some((m) => m.id === 'anthropic:fake-1' && m.default));
    const page = await request(g.url, 'GET', '/');
    assert.equal(page.status, 200);
    assert.match(page.headers['content-type'], /^text\/html/);
    assert.ok(page.headers['x-content-type-options'] === 'nosniff' && page.headers['content-security-policy']);
  });

  test('the log has a line for each request, and no line break from outside', async () => {
    await g.get('/api/threads?limit=3&x=%0Aforged%20line');
    const lines = () => g.output.split('\n');
    await eventually(() => lines().some((l) => /GET \/api\/threads/.test(l) && /status=200/.test(l)), { what: 'the line' });
    assert.ok(!lines().some((l) => l.startsWith('forged line')));
  });
});
