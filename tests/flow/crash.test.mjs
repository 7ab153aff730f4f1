// SIGKILL at every write boundary of a turn with tools: nothing lost, nothing done twice, and the
// client that comes back sees one whole answer. ADJUTANT_CRASH_AT=k kills the program right before
// its k-th write transaction, k:after right after it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Adjutant, BACKENDS, checkEvents, EventStream, Fake, fresh, Postgres, TERMINAL, view } from './harness.mjs';

const MESSAGE = '[reason 3] [say looking] [tool calculate {"expression":"6*7"}] [tool current_time {}] [then] [tool calculate {"expression":"2^5"}] [then] [say all done]';
const ROLES = ['user', 'assistant', 'tool', 'tool', 'assistant', 'tool', 'assistant'];
const MAX_BOUNDARIES = 60;

for (const backend of BACKENDS) {
  describe(`crashes (${backend})`, () => {
    let fake, template, postgres;

    // Migrated once; every case begins with a copy.
    before(async () => {
      fake = await Fake.start();
      template = await Adjutant.start({ backend, fake });
      await template.stop();
      postgres = template.postgres;
    });
    after(() => fake.stop());

    async function copy(crashAt) {
      const options = { backend, fake, crashAt };
      if (backend === 'postgres') {
        const name = `crash_${process.pid}_${Math.random().toString(36).slice(2, 9)}`;
        await postgres.query(`CREATE DATABASE ${name} TEMPLATE ${template.db.split('/').at(-1)}`);
        options.db = template.db.replace(/\/[^/]*$/, `/${name}`);
      }
      const g = Object.assign(new Adjutant(), {
        options: { provider: 'anthropic', env: {}, ...options }, dir: `${template.dir}/${fresh('case')}`, past: [], port: template.port,
        url: template.url, headers: { ...template.headers }, db: options.db, postgres,
      });
      g.home = path.join(g.dir, 'home');
      fs.cpSync(template.home, g.home, { recursive: true });
      return g;
    }

    /** One crash at one boundary. False when the turn ended before that boundary was reached. */
    async function crashAt(where) {
      const g = await copy();
      const [threadId, turnId] = [fresh('crash'), fresh('turn')];
      const events = [];
      let acknowledged = false;
      await g.begin({ ADJUTANT_CRASH_AT: where }, { ready: false });
      const come = async (open) => {
        const s = await open();
        acknowledged = true;
        await s.all().catch(() => {});
        events.push(...s.events);
        return s;
      };
      const submit = () => g.stream(MESSAGE, { thread_id: threadId, turn_id: turnId });
      const up = await g.ready().then(() => true, () => false);
      if (up) await come(submit).catch(() => {});
      const ended = TERMINAL.has(events.at(-1)?.json.type);
      if (ended && g.alive) {
        await g.kill();
        return false;
      }
      await g.died();

      await g.begin();
      if (acknowledged) {
        assert.deepEqual((await g.messages(threadId)).map((m) => m.role)[0], 'user', 'the acknowledged message is gone');
        if (!ended) await come(() => g.follow(turnId, events.findLast((e) => e.id)?.id));
      } else {
        await come(submit); // never acknowledged: sent again under the same id
      }
      await check(g, threadId, turnId, events);
      await g.stop();
      fs.rmSync(g.dir, { recursive: true, force: true });
      return true;
    }

    async function check(g, threadId, turnId, events) {
      assert.equal((await g.turn(turnId)).state, 'done', JSON.stringify(await g.turn(turnId)));
      const messages = await g.messages(threadId);
      assert.deepEqual(messages.map((m) => m.role), ROLES);
      assert.equal(new Set(messages.map((m) => m.id)).size, ROLES.length);

      const effects = await g.query(`SELECT tool, state, idempotency_key FROM effects WHERE turn_id = '${turnId}' ORDER BY call_id`);
      assert.deepEqual(effects.map((e) => e.slice(0, 2)), [['calculate', 'done'], ['current_time', 'done'], ['calculate', 'done']]);
      assert.equal(new Set(effects.map((e) => e[2])).size, 3);
      const calls = messages.flatMap((m) => (Array.isArray(m.content) ? m.content : []).filter((b) => b.type === 'tool_call').map((b) => b.id));
      assert.deepEqual(messages.filter((m) => m.role === 'tool').map((m) => m.tool_call_id), calls);

      // What the client holds is what is stored, though it saw the stream in two pieces.
      assert.ok(TERMINAL.has(events.at(-1)?.json.type), `the stream has no end: ${events.map((e) => e.json.type).join(' ')}`);
      assert.equal(events.at(-1).json.type, 'RUN_FINISHED');
      const v = view(events);
      assert.equal(v.text, 'looking\nall done');
      assert.deepEqual([...v.calls.values()].map((c) => [c.name, c.args || '{}', c.results?.length]),
        [['calculate', '{"expression":"6*7"}', 1], ['current_time', '{}', 1], ['calculate', '{"expression":"2^5"}', 1]]);
      let last = 0;
      for (const { id } of events.filter((e) => e.id)) assert.ok(Number(id) > last, `number ${id} after ${last}`), last = Number(id);

      // Who comes late reads the same from its beginning, in order.
      const stored = await (await g.follow(turnId)).all();
      checkEvents(stored);
      assert.equal(view(stored).text, v.text);
      const { counters } = await fake.log(0);
      assert.equal(counters.refused ?? 0, 0, 'a prompt was malformed');
    }

    for (const suffix of ['', ':after']) {
      test(`right ${suffix ? 'after' : 'before'} each write`, async (t) => {
        let crashes = 0;
        for (let k = 1; k <= MAX_BOUNDARIES; k++) {
          const where = `${k}${suffix}`;
          let crashed;
          try {
            crashed = await crashAt(where);
          } catch (e) {
            e.message = `at write ${where}: ${e.message}`;
            throw e;
          }
          if (!crashed) break;
          crashes++;
        }
        t.diagnostic(`${crashes} boundaries`);
        assert.ok(crashes >= 6, `only ${crashes} boundaries were found: is ADJUTANT_CRASH_AT at work?`);
        assert.ok(crashes < MAX_BOUNDARIES, 'the turn has no end');
      });
    }

    test('killed at any moment of a long answer', async () => {
      const g = await copy();
      await g.begin();
      const [threadId, turnId] = [fresh('long'), fresh('turn')];
      const events = [];
      let s = await g.stream('[tokens 60] [delay 20]', { thread_id: threadId, turn_id: turnId });
      for (const pause of [3, 12, 25]) {
        await s.until((e) => e.filter((x) => x.json.type === 'TEXT_MESSAGE_CONTENT').length >= pause);
        await g.kill();
        await s.all();
        events.push(...s.events);
        await g.begin();
        s = await g.follow(turnId, events.findLast((e) => e.id).id);
      }
      events.push(...await s.all());
      assert.equal(events.at(-1).json.type, 'RUN_FINISHED');
      const text = (await g.messages(threadId))[1].content;
      assert.equal(text.trim().split(' ').length, 60);
      assert.equal(view(events).text, text);
      await g.stop();
    });
  });
}
