// MCP tools with effects in the world, across crashes: never twice, and honest about not knowing.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Adjutant, BACKENDS, Crashes, eventually, Fake, fresh, McpServer, tools, view } from './harness.mjs';

const TURN = '[tool count {"ms":20}] [tool safe_count {"ms":60}] [then] [tool count {}] [then] [say all done]';
const NAMES = ['count', 'safe_count', 'count'];

/** How often the call with this key arrived. */
const times = (server, key) => server.calls.filter((c) => Object.values(c.meta).includes(key)).length;
const journal = async (g, turnId) => (await g.query(`SELECT tool, state, idempotency_key FROM effects WHERE turn_id = '${turnId}' ORDER BY call_id`))
  .map(([tool, state, key]) => ({ tool, state, key }));

async function allow(g, server) {
  const r = await g.request('PUT', '/api/policies', { body: { server, tool: '*', policy: 'allow' } });
  assert.equal(r.status, 200, r.text);
}

for (const backend of BACKENDS) {
  for (const era of ['legacy', 'modern']) {
    describe(`effects of MCP tools (${backend}, ${era})`, { concurrency: 1 }, () => {
      let crashes, server;
      before(async () => {
        server = await McpServer.start({ era, tools: [tools.count, tools.safe_count, tools.wait] });
        crashes = await Crashes.prepare({ backend, mcp: { world: server.definition() } }, (g) => allow(g, 'world'));
      });
      after(async () => {
        await crashes?.done();
        await server?.stop();
      });

      test('a crash at any write: once at most, or repeated where that is safe', async () => {
        const seen = { unknown: 0, repeated: 0, done: 0 };
        const check = async (g, threadId, turnId, events) => {
          assert.equal((await g.turn(turnId)).state, 'done');
          assert.equal(view(events).last, 'all done');
          const rows = await journal(g, turnId);
          assert.deepEqual(rows.map((r) => r.tool), NAMES);
          const results = (await g.messages(threadId)).filter((m) => m.role === 'tool');
          assert.equal(results.length, 3);
          for (const [i, { tool, state, key }] of rows.entries()) {
            const n = times(server, key);
            const text = JSON.stringify(results[i].content);
            if (tool === 'safe_count') {
              assert.equal(state, 'done');
              assert.ok(n >= 1, `${key} was never called`);
              seen.repeated += n > 1;
            } else if (state === 'unknown') {
              assert.ok(n <= 1, `${key} took effect ${n} times`);
              assert.match(text, /unknown/i);
              seen.unknown++;
            } else {
              assert.deepEqual([state, n], ['done', 1], key);
              assert.match(text, /effect \d/);
              seen.done++;
            }
          }
        };
        for (const suffix of ['', ':after']) await crashes.each(suffix, TURN, check);
        assert.ok(seen.unknown > 0 && seen.repeated > 0 && seen.done > 0, `the crashes missed a case: ${JSON.stringify(seen)}`);
        assert.deepEqual(server.violations, []);
      });

      test('killed between the call and its answer', async () => {
        const g = await crashes.copy();
        await g.begin();
        const [threadId, turnId] = [fresh('kill'), fresh('turn')];
        const begun = server.calls.length;
        const s = await g.stream('[tool count {"ms":1200}] [tool safe_count {"ms":1200}] [then] [echo-results]', { thread_id: threadId, turn_id: turnId });
        await eventually(() => server.calls.length === begun + 2, { everyMs: 5, what: 'the calls' });
        await g.kill();
        await s.all();
        await g.begin();
        const events = [...s.events, ...await (await g.follow(turnId, s.lastId)).all()];
        const [count, safe] = await journal(g, turnId);
        assert.deepEqual([count.state, times(server, count.key)], ['unknown', 1]);
        assert.deepEqual([safe.state, times(server, safe.key)], ['done', 2]);
        assert.match(view(events).last, /unknown/i);
        await g.stop();
        await crashes.remove(g);
      });

      test('the server dies between the call and its answer: not called again', async () => {
        const g = await crashes.copy();
        await g.begin();
        const begun = server.calls.length;
        const s = await g.stream('[tool count {"ms":3000}] [then] [echo-results]');
        await eventually(() => server.calls.length === begun + 1, { everyMs: 5, what: 'the call' });
        server.http.closeAllConnections();
        server.sessions.clear();
        await s.all();
        const [{ state, key }] = await journal(g, s.turnId);
        assert.deepEqual([state, times(server, key)], ['unknown', 1]);
        assert.match(view(s.events).last, /unknown/i);
        await g.stop();
        await crashes.remove(g);
      });
    });
  }
}

describe('effects of MCP tools with two gateways', { skip: !BACKENDS.includes('postgres') }, () => {
  test('one is killed while it works: the other does not call again', async () => {
    const fake = await Fake.start();
    const server = await McpServer.start({ tools: [tools.count, tools.safe_count] });
    const options = { backend: 'postgres', fake, mcp: { world: server.definition() }, env: { ADJUTANT_LEASE_MS: '1500' } };
    const a = await Adjutant.start(options);
    const b = await Adjutant.start({ ...options, db: a.db });
    try {
      await allow(a, 'world');
      const s = await a.stream('[tool count {"ms":1400}] [tool safe_count {"ms":1400}] [then] [say taken over]');
      await eventually(() => server.calls.length === 2, { everyMs: 10, what: 'the calls' });
      await a.kill();
      await s.all();
      const events = [...s.events, ...await (await b.follow(s.turnId, s.lastId)).all()];
      assert.equal(view(events).last, 'taken over');
      const rows = await journal(b, s.turnId);
      assert.deepEqual(rows.map((r) => [r.tool, r.state, times(server, r.key)]), [['count', 'unknown', 1], ['safe_count', 'done', 2]]);
    } finally {
      for (const g of [a, b]) if (g.alive) await g.stop();
      await fake.stop();
      await server.stop();
    }
  });
});
