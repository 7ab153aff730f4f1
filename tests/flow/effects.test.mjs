// Tools with effects in the world (see effect_tools.c): never twice, and honest about not knowing.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Adjutant, BACKENDS, Crashes, EFFECTS, eventually, Fake, fresh, request, view } from './harness.mjs';

const MESSAGE = '[tool side_effect {"ms":20}] [tool safe_effect {"ms":60}] [then] [tool side_effect {}] [then] [say all done]';
const effectsUrl = (fake) => ({ EFFECT_URL: `${fake.url}/effect` });

/** How often each call took effect, by its idempotency key. */
async function counts(fake) {
  const list = (await request(fake.url, 'GET', '/effects')).json;
  return new Map(list.map((e) => [e.key, e.count]));
}

const journal = async (g, turnId) => (await g.query(`SELECT tool, state, idempotency_key FROM effects WHERE turn_id = '${turnId}' ORDER BY call_id`))
  .map(([tool, state, key]) => ({ tool, state, key }));

for (const backend of BACKENDS) {
  describe(`effects (${backend})`, () => {
    let crashes;
    before(async () => { crashes = await Crashes.prepare({ backend, program: EFFECTS, env: effectsUrl }); });
    after(() => crashes.done());

    test('a crash at any write: once at most, or repeated where that is safe', async () => {
      const seen = { unknown: 0, repeated: 0, done: 0 };
      const check = async (g, threadId, turnId, events) => {
        assert.equal((await g.turn(turnId)).state, 'done');
        assert.equal(view(events).last, 'all done');
        const times = await counts(crashes.fake);
        const rows = await journal(g, turnId);
        assert.deepEqual(rows.map((r) => r.tool), ['side_effect', 'safe_effect', 'side_effect']);
        const results = (await g.messages(threadId)).filter((m) => m.role === 'tool');
        assert.equal(results.length, 3);
        for (const [i, { tool, state, key }] of rows.entries()) {
          const n = times.get(key) ?? 0;
          const text = JSON.stringify(results[i].content);
          if (tool === 'safe_effect') {
            assert.equal(state, 'done');
            assert.ok(n >= 1);
            seen.repeated += n > 1;
          } else if (state === 'unknown') {
            assert.ok(n <= 1, `${key} took effect ${n} times`);
            assert.match(text, /unknown/i);
            seen.unknown++;
          } else {
            assert.deepEqual([state, n], ['done', 1], key);
            assert.match(text, /number 1/);
            seen.done++;
          }
        }
      };
      for (const suffix of ['', ':after']) await crashes.each(suffix, MESSAGE, check);
      assert.ok(seen.unknown > 0 && seen.repeated > 0 && seen.done > 0, `the crashes missed a case: ${JSON.stringify(seen)}`);
    });

    test('killed while it works: not called again, and said so to the model and the user', async () => {
      const g = await crashes.copy();
      await g.begin();
      const [threadId, turnId] = [fresh('kill'), fresh('turn')];
      const before = await counts(crashes.fake);
      const s = await g.stream('[tool side_effect {"ms":1200}]', { thread_id: threadId, turn_id: turnId });
      await eventually(async () => [...await counts(crashes.fake)].length > [...before].length, { everyMs: 10, what: 'the effect' });
      await g.kill();
      await s.all();
      await g.begin();
      const events = [...s.events, ...await (await g.follow(turnId, s.lastId)).all()];
      const [{ state, key }] = await journal(g, turnId);
      assert.deepEqual([state, (await counts(crashes.fake)).get(key)], ['unknown', 1]);
      assert.match([...view(events).calls.values()][0].results[0], /unknown/i);
      const [{ body }] = await crashes.fake.requests(1);
      assert.match(JSON.stringify(body.messages), /unknown/i);
      await g.stop();
    });

    test('cancelled or out of time while it works: unknown too', async () => {
      const g = await crashes.copy();
      await g.begin();
      for (const how of ['cancel', 'time']) {
        const s = await g.stream(`[tool side_effect {"ms":${how === 'cancel' ? 1200 : 20000}}]`);
        const [{ key }] = await eventually(async () => {
          const rows = await journal(g, s.turnId);
          return rows.length && (await counts(crashes.fake)).has(rows[0].key) && rows;
        }, { everyMs: 10, what: 'the effect' });
        if (how === 'cancel') await g.post(`/api/turns/${s.turnId}/cancel`);
        await s.all();
        const [{ state }] = await journal(g, s.turnId);
        assert.deepEqual([state, (await counts(crashes.fake)).get(key)], ['unknown', 1], how);
        assert.equal((await g.turn(s.turnId)).state, how === 'cancel' ? 'cancelled' : 'done');
        assert.equal((await g.chat('[say and on]', { thread_id: s.threadId })).message.content, 'and on');
      }
      await g.stop();
    });
  });
}

describe('effects with two gateways', { skip: !BACKENDS.includes('postgres') }, () => {
  test('one is killed while it works: the other does not call again', async () => {
    const fake = await Fake.start();
    const options = { backend: 'postgres', fake, program: EFFECTS, env: (f) => ({ ...effectsUrl(f), ADJUTANT_LEASE_MS: '1500' }) };
    const a = await Adjutant.start(options);
    const b = await Adjutant.start({ ...options, db: a.db });
    try {
      const s = await a.stream('[tool side_effect {"ms":1400}] [tool safe_effect {"ms":1400}] [then] [say taken over]');
      await eventually(async () => (await counts(fake)).size === 2, { everyMs: 10, what: 'the effects' });
      await a.kill();
      await s.all();
      const events = [...s.events, ...await (await b.follow(s.turnId, s.lastId)).all()];
      assert.equal(view(events).last, 'taken over');
      const rows = await journal(b, s.turnId);
      const times = await counts(fake);
      assert.deepEqual(rows.map((r) => [r.tool, r.state, times.get(r.key)]), [['side_effect', 'unknown', 1], ['safe_effect', 'done', 2]]);
    } finally {
      for (const g of [a, b]) if (g.alive) await g.stop();
      await fake.stop();
    }
  });
});
