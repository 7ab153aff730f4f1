// Several gateways on one PostgreSQL, a database that goes away, and stopping in order.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Adjutant, BACKENDS, checkEvents, eachBackend, eventually, Fake, fresh, Postgres, sleep, view } from './harness.mjs';

const LEASE = { ADJUTANT_LEASE_MS: '1500' };
const skip = !BACKENDS.includes('postgres');

describe('two gateways on one PostgreSQL', { skip }, () => {
  let fake, a, b;
  before(async () => {
    fake = await Fake.start();
    a = await Adjutant.start({ backend: 'postgres', fake, env: LEASE });
    b = await Adjutant.start({ backend: 'postgres', fake, env: LEASE, db: a.db });
  });
  after(async () => {
    for (const g of [a, b]) if (g?.alive) await g.stop();
    await fake?.stop();
  });

  test('a turn of one is followed, live, through the other', async () => {
    const s = await a.stream('[reason 3] [tool calculate {"expression":"2*3"}] [then] [tokens 40] [delay 15]');
    const other = await b.follow(s.turnId);
    const events = await s.all();
    checkEvents(events);
    assert.deepEqual((await other.all()).map((e) => [e.id, e.json]), events.map((e) => [e.id, e.json]));
  });

  test('over the other\'s WebSocket too', async () => {
    const s = await a.stream('[tokens 40] [delay 15]');
    const ws = await b.socket();
    ws.send({ type: 'subscribe', ref: 's', runId: s.turnId });
    const seen = await ws.end(s.turnId);
    assert.deepEqual(seen.map((f) => [String(f.seq), f.event]), (await s.all()).map((e) => [e.id, e.json]));
    await ws.close();
  });

  test('cancelled through the other', async () => {
    const s = await a.stream('[tokens 2000] [delay 20]');
    await s.until((e) => e.some((x) => x.json.type === 'TEXT_MESSAGE_CONTENT'));
    assert.equal((await b.post(`/api/turns/${s.turnId}/cancel`)).status, 202);
    await s.all();
    assert.equal((await b.turn(s.turnId)).state, 'cancelled');
  });

  test('one thread, messages through both: one after the other', async () => {
    const thread = fresh();
    const all = await Promise.all(Array.from({ length: 8 }, (_, i) => (i % 2 ? a : b).chat(`[say answer ${i}] [delay 10]`, { thread_id: thread })));
    assert.deepEqual(all.map((r) => [r.state, r.message?.content]), all.map((_, i) => ['done', `answer ${i}`]));
    const requests = (await fake.requests(8)).sort((x, y) => x.number - y.number);
    for (let i = 1; i < requests.length; i++) assert.ok(requests[i].at_ms >= requests[i - 1].ended_ms - 1, `request ${i} overlaps`);
  });

  test('the same turn sent to both is one turn', async () => {
    const [thread, turn] = [fresh(), fresh('turn')];
    const send = (g) => g.chat('[say once] [delay 30]', { thread_id: thread, turn_id: turn });
    const [x, y] = await Promise.all([send(a), send(b)]);
    assert.deepEqual([x.message.content, y.message.content], ['once', 'once']);
    assert.equal((await a.messages(thread)).length, 2);
  });

  test('one is killed in mid-turn: the other goes on, and clients come back to it', async () => {
    const thread = fresh();
    const s = await a.stream('[tool calculate {"expression":"3*4"}] [then] [tokens 60] [delay 30]', { thread_id: thread });
    await s.until((e) => e.filter((x) => x.json.type === 'TEXT_MESSAGE_CONTENT').length >= 5);
    const watching = await b.follow(s.turnId);
    const waiting = await a.chat('[echo-messages]', { thread_id: thread, wait: false });
    await a.kill();
    await s.all();
    const rest = await b.follow(s.turnId, s.lastId);
    const events = [...s.events, ...await rest.all()];
    assert.equal(events.at(-1).json.type, 'RUN_FINISHED');
    const messages = (await b.messages(thread)).filter((m) => m.turn_id === s.turnId);
    assert.deepEqual(messages.map((m) => m.role), ['user', 'assistant', 'tool', 'assistant']);
    assert.equal(view(events).text, messages.at(-1).content);
    assert.equal(view(await watching.all()).text, messages.at(-1).content);
    assert.deepEqual(await b.query(`SELECT tool, state FROM effects WHERE turn_id = '${s.turnId}'`), [['calculate', 'done']]);
    // What waited behind it is not forgotten either.
    assert.equal((await b.ended(waiting.turn_id)).state, 'done');
    await a.begin();
  });

  test('one that is stopped gently hands over what it can\'t finish', async () => {
    const s = await a.stream('[stall 3]');
    await s.until((e) => e.some((x) => x.json.type === 'TEXT_MESSAGE_CONTENT'));
    await a.stop();
    assert.ok((await s.all().catch(() => s.events)).every((e) => e.json.type !== 'RUN_ERROR'));
    await eventually(async () => (await fake.requests(1))[0].end === 'running', { what: 'the other\'s call' });
    assert.equal((await b.turn(s.turnId)).state, 'running');
    await b.post(`/api/turns/${s.turnId}/cancel`);
    assert.equal((await b.ended(s.turnId)).state, 'cancelled');
    await a.begin();
  });
});

describe('a database that goes away', { skip }, () => {
  let fake, postgres, g;
  before(async () => {
    fake = await Fake.start();
    postgres = await Postgres.start();
    g = await Adjutant.start({ backend: 'postgres', fake, postgres, env: LEASE });
  });
  after(async () => {
    if (g?.alive) await g.stop();
    await fake?.stop();
  });

  test('in mid-turn and comes back: the turn waits and goes on', async () => {
    const s = await g.stream('[tool calculate {"expression":"5*5"}] [then] [tokens 30] [delay 40] [then]');
    await s.until((e) => e.filter((x) => x.json.type === 'TEXT_MESSAGE_CONTENT').length >= 3);
    await postgres.control('halt');
    await eventually(async () => (await g.get('/api/health')).status === 503, { what: 'its notice' });
    assert.equal((await g.get('/api/health')).json.status, 'degraded');
    assert.equal((await g.get('/api/health?live=1')).status, 200);
    const refused = await g.post('/api/chat', { message: 'x' });
    assert.equal(refused.status, 503, refused.text);
    assert.ok(Number(refused.headers['retry-after']) > 0);
    await sleep(1500);
    assert.ok(!s.ended, `it ended: ${s.summary()}`);
    await postgres.control('resume');
    const events = await s.all();
    assert.equal(events.at(-1).json.type, 'RUN_FINISHED', JSON.stringify(events.at(-1)));
    assert.equal((await g.turn(s.turnId)).state, 'done');
    assert.deepEqual((await g.messages(s.threadId)).map((m) => m.role), ['user', 'assistant', 'tool', 'assistant']);
    await eventually(async () => (await g.get('/api/health')).status === 200, { what: 'its recovery' });
    assert.equal((await g.chat('[say back]')).message.content, 'back');
  });

  test('restarts under load: each message that was accepted is answered', async () => {
    const accepted = [];
    let stop = false;
    const senders = Array.from({ length: 4 }, async () => {
      while (!stop) {
        const turn = fresh('load');
        const r = await g.post('/api/chat', { message: '[say ok] [tool current_time {}]', turn_id: turn, wait: false }).catch(() => undefined);
        if (r?.status === 202) accepted.push(turn);
        else await sleep(100);
      }
    });
    for (let i = 0; i < 2; i++) {
      await sleep(700);
      await postgres.control('restart');
    }
    await sleep(1000);
    stop = true;
    await Promise.all(senders);
    assert.ok(accepted.length > 10, `${accepted.length} were accepted`);
    for (const id of accepted) assert.equal((await g.ended(id)).state, 'done', id);
  });
});

eachBackend('stopping', (start) => {
  const g = start();

  test('lets running turns end, then leaves with 0', async () => {
    const s = await g.stream('[tokens 25] [delay 30]');
    await s.until((e) => e.some((x) => x.json.type === 'TEXT_MESSAGE_CONTENT'));
    const stopped = g.stop();
    const events = await s.all();
    assert.equal(events.at(-1).json.type, 'RUN_FINISHED');
    assert.equal(view(events).text.trim().split(' ').length, 25);
    await stopped;
    await g.begin();
    assert.equal((await g.turn(s.turnId)).state, 'done');
  });

  test('tells its WebSockets', async () => {
    const ws = await g.socket();
    await ws.type('hello');
    const stopped = g.stop();
    assert.equal(await ws.closed, 1001);
    await stopped;
    await g.begin();
  });

  test('leaves what takes too long for the next start', async () => {
    const s = await g.stream('[stall 3]');
    await s.until((e) => e.some((x) => x.json.type === 'TEXT_MESSAGE_CONTENT'));
    await g.stop();
    await g.begin();
    await eventually(async () => (await g.turn(s.turnId)).state === 'running' && (await g.fake.requests(1))[0].end === 'running');
    await g.post(`/api/turns/${s.turnId}/cancel`);
    assert.equal((await g.ended(s.turnId)).state, 'cancelled');
  });
});
