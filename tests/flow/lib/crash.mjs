// Killing the program at its write boundaries. ADJUTANT_CRASH_AT=k kills it right before its k-th
// write transaction, k:after right after it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { TERMINAL } from './agui.mjs';
import { Adjutant, Fake } from './programs.mjs';

const MAX_BOUNDARIES = 60;
let cases = 0;

/** Migrated once; every case begins with a copy. */
export class Crashes {
  /** setUp(g): what every case begins with. */
  static async prepare(options, setUp = async () => {}) {
    const c = new Crashes();
    c.fake = await Fake.start();
    c.options = { fake: c.fake, ...options };
    c.template = await Adjutant.start(c.options);
    await setUp(c.template);
    await c.template.stop();
    return c;
  }

  async copy() {
    const { template } = this;
    const name = `crash_${process.pid}_${++cases}`;
    if (template.db) await template.postgres.query(`CREATE DATABASE ${name} TEMPLATE ${template.db.split('/').at(-1)}`);
    const g = Object.assign(new Adjutant(), {
      options: template.options, dir: path.join(template.dir, name), past: [], port: template.port, url: template.url,
      headers: { ...template.headers }, db: template.db?.replace(/\/[^/]*$/, `/${name}`), postgres: template.postgres,
    });
    g.home = path.join(g.dir, 'home');
    fs.cpSync(template.home, g.home, { recursive: true });
    return g;
  }

  async remove(g) {
    fs.rmSync(g.dir, { recursive: true, force: true });
    if (g.db) await g.postgres.query(`DROP DATABASE ${g.db.split('/').at(-1)} WITH (FORCE)`);
  }

  /** One crash at one boundary; then the client comes back. check(g, threadId, turnId, events): all
   * that the client saw. False when the turn ended before that boundary was reached. */
  async at(where, message, check) {
    const g = await this.copy();
    const [threadId, turnId] = [`crash-${cases}`, `turn-${cases}`];
    const events = [];
    let acknowledged = false;
    const come = async (open) => {
      const s = await open();
      acknowledged = true;
      await s.all().catch(() => {});
      events.push(...s.events);
    };
    const submit = () => g.stream(message, { thread_id: threadId, turn_id: turnId });
    await g.begin({ ADJUTANT_CRASH_AT: where }, { ready: false });
    if (await g.ready().then(() => true, () => false)) await come(submit).catch(() => {});
    const ended = TERMINAL.has(events.at(-1)?.json.type);
    if (ended && g.alive) {
      await g.kill();
      await this.remove(g);
      return false;
    }
    await g.died();

    await g.begin();
    if (acknowledged) {
      assert.equal((await g.messages(threadId))[0]?.role, 'user', 'the acknowledged message is gone');
      if (!ended) await come(() => g.follow(turnId, events.findLast((e) => e.id)?.id));
    } else {
      await come(submit); // never acknowledged: sent again under the same id
    }
    assert.ok(TERMINAL.has(events.at(-1)?.json.type), `the stream has no end: ${events.map((e) => e.json.type).join(' ')}`);
    let last = 0;
    for (const { id } of events.filter((e) => e.id)) {
      assert.ok(Number(id) > last, `number ${id} after ${last}`);
      last = Number(id);
    }
    await check(g, threadId, turnId, events);
    assert.equal((await this.fake.log(0)).counters.refused ?? 0, 0, 'a prompt was malformed');
    await g.stop();
    await this.remove(g);
    return true;
  }

  /** At each boundary, until the turn ends without meeting the next one; how many there were. */
  async each(suffix, message, check) {
    for (let k = 1; k <= MAX_BOUNDARIES; k++) {
      try {
        if (!await this.at(`${k}${suffix}`, message, check)) return k - 1;
      } catch (e) {
        e.message = `at write ${k}${suffix}: ${e.message}`;
        throw e;
      }
    }
    throw new Error('the turn has no end');
  }

  async done() {
    await this.fake.stop();
  }
}
