// Coming back: every event again under its number, live or stored, over SSE and WebSocket.
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { begin, checkEvents, eachBackend, eventually, fresh, sleep, view } from './harness.mjs';

const plain = (events) => events.map((e) => [e.id, e.json]);

eachBackend('resuming', (start) => {
  const g = start();

  test('from any event of a turn that ended', async () => {
    const s = await g.stream('[reason 3] [tool calculate {"expression":"1+2"}] [then] [tokens 6]');
    const all = await s.all();
    checkEvents(all);
    assert.deepEqual(plain(await (await g.follow(s.turnId)).all()), plain(all));
    for (let i = 0; i < all.length; i++) {
      const rest = await (await g.follow(s.turnId, all[i].id)).all();
      assert.deepEqual(plain(rest), plain(all.slice(i + 1)), `from ${all[i].id}`);
    }
  });

  test('while it runs, again and again', async () => {
    const first = await g.stream('[tokens 60] [delay 15]');
    await first.until((e) => e.length >= 4);
    first.close();
    const got = plain(first.events);
    for (let i = 0; i < 5; i++) {
      const s = await g.follow(first.turnId, got.at(-1)[0]);
      await s.until((e) => e.length >= 4);
      s.close();
      got.push(...plain(s.events));
    }
    const last = await g.follow(first.turnId, got.at(-1)[0]);
    got.push(...plain(await last.all()));
    assert.deepEqual(got, plain(await (await g.follow(first.turnId)).all()));
    checkEvents(got.map(([id, json]) => ({ id, json })));
    assert.equal(view(got.map(([, json]) => json)).text.trim().split(' ').length, 60);
  });

  test('since as a parameter; the header wins', async () => {
    const s = await g.stream('[tokens 5]');
    const all = await s.all();
    const get = async (query, headers) => (await g.get(`/api/turns/${s.turnId}/events${query}`, { headers })).text.match(/^id: .*$/gm) ?? [];
    const ids = all.map((e) => `id: ${e.id}`);
    assert.deepEqual(await get(`?since=${all[1].id}`), ids.slice(2));
    assert.deepEqual(await get(`?since=${all[0].id}`, { 'Last-Event-ID': all[2].id }), ids.slice(3));
    assert.equal((await g.get(`/api/turns/${s.turnId}/events?since=x`)).status, 400);
    assert.equal((await g.get(`/api/turns/${s.turnId}/events`, { headers: { 'Last-Event-ID': '-1' } })).status, 400);
  });

  test('many followers see the same', async () => {
    const s = await g.stream('[tokens 40] [delay 10]');
    const followers = await Promise.all(Array.from({ length: 20 }, () => g.follow(s.turnId)));
    const all = plain(await s.all());
    for (const f of followers) assert.deepEqual(plain(await f.all()), all);
  });

  test('a turn that waits can be followed before it begins', async () => {
    const thread = fresh();
    const one = await g.stream('[tokens 15] [delay 20]', { thread_id: thread });
    const two = await g.chat('[say here]', { thread_id: thread, wait: false });
    const followed = await g.follow(two.turn_id);
    await one.all();
    const events = await followed.all();
    checkEvents(events);
    assert.equal(view(events).last, 'here');
  });

  test('over the WebSocket', async () => {
    const s = await g.stream('[tokens 40] [delay 10]');
    await s.until((e) => e.length > 5);
    const ws = await g.socket();
    ws.send({ type: 'subscribe', ref: 'a', runId: s.turnId });
    await ws.next((f) => f.ref === 'a' && f.type === 'ok');
    const live = await ws.end(s.turnId);
    const all = plain(await s.all());
    assert.deepEqual(live.map((f) => [String(f.seq), f.event]), all);
    const from = ws.frames.length;
    ws.send({ type: 'subscribe', ref: 'b', runId: s.turnId, since: Number(all[3][0]) });
    await ws.next((f) => f.type === 'end', { from });
    assert.deepEqual(ws.frames.slice(from).filter((f) => f.type === 'agui').map((f) => [String(f.seq), f.event]), all.slice(4));
    ws.send({ type: 'subscribe', ref: 'c', runId: 'nonsense' });
    const refusal = await ws.next((f) => f.ref === 'c');
    assert.equal(refusal.type, 'error');
    assert.equal(refusal.problem.status, 404);
    await ws.close();
  });

  test('unsubscribing', async () => {
    const ws = await g.socket();
    const a = await ws.chat({ message: '[tokens 60] [delay 15]' });
    await ws.next((f) => f.event?.type === 'TEXT_MESSAGE_CONTENT');
    ws.send({ type: 'unsubscribe', ref: 'u', runId: a.runId });
    await ws.next((f) => f.ref === 'u' && f.type === 'ok');
    const n = ws.run(a.runId).length;
    await sleep(150);
    assert.equal(ws.run(a.runId).length, n);
    await ws.close();
  });

  test('after a restart', async () => {
    const s = await g.stream('[tool current_time {}] [then] [tokens 5]');
    const all = plain(await s.all());
    await g.restart();
    assert.deepEqual(plain(await (await g.follow(s.turnId)).all()), all);
    assert.deepEqual(plain(await (await g.follow(s.turnId, all[4][0])).all()), all.slice(5));
    assert.match((await g.chat('[echo-messages]', { thread_id: s.threadId })).message.content, /^5 messages/);
  });

  test('a quiet stream gets comments', { skip: process.env.FLOW_SLOW ? false : 'takes 15 s; FLOW_SLOW=1' }, async () => {
    const s = await g.stream('[first 17000] [tokens 3]');
    await s.all();
    assert.ok(s.comments > 0);
  });
});

eachBackend('slow readers', (start) => {
  // What is freed stays in AddressSanitizer's quarantine, which would look like growth here.
  const g = start({ env: { ASAN_OPTIONS: 'detect_stack_use_after_return=0:abort_on_error=1:quarantine_size_mb=1' } });

  test('do not hold up others, do not make memory grow, and get everything in the end', async () => {
    await g.chat('[big 2000000]');
    const before = g.resident();
    const slow = [];
    for (let i = 0; i < 12; i++) {
      const response = await begin(g.url, 'POST', '/api/chat', {
        headers: { ...g.headers, Accept: 'text/event-stream' }, body: { message: '[big 3000000]' },
      });
      response.pause();
      slow.push(response);
    }
    await eventually(async () => (await Promise.all(slow.map((r) => g.turn(r.headers['x-turn-id'])))).every((t) => t.state === 'done'),
      { what: 'the turns of readers that do not read' });
    assert.equal((await g.chat('[say quick]')).message.content, 'quick');
    const grown = (g.resident() - before) / 1e6;
    assert.ok(grown < 150, `${grown.toFixed(0)} MB for 12 readers of 3 MB`);
    let text = '';
    slow[0].setEncoding('utf8');
    for await (const chunk of slow[0]) text += chunk;
    assert.match(text, /RUN_FINISHED/);
    assert.ok(text.length > 3_000_000);
    for (const r of slow.slice(1)) r.destroy();
  });

  test('a WebSocket that is not read is cut or paused, never buffered without bound', async () => {
    const before = g.resident();
    const url = new URL(g.url);
    const socket = net.connect(Number(url.port), url.hostname);
    await new Promise((resolve) => socket.on('connect', resolve));
    const key = g.headers['X-API-Key'] ? `X-API-Key: ${g.headers['X-API-Key']}\r\n` : '';
    socket.write(`GET /ws HTTP/1.1\r\nHost: ${url.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n`
      + `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${key}\r\n`);
    await new Promise((resolve) => socket.once('data', resolve));
    socket.pause();
    const frame = (text) => {
      const body = Buffer.from(text);
      return Buffer.concat([Buffer.from([0x81, 0x80 | 126, body.length >> 8, body.length & 255, 0, 0, 0, 0]), body]);
    };
    const turns = Array.from({ length: 6 }, () => fresh('slow'));
    for (const runId of turns) socket.write(frame(JSON.stringify({ type: 'chat', runId, threadId: fresh(), message: `[big 3000000] ${'.'.repeat(100)}` })));
    for (const id of turns) {
      await eventually(async () => (await g.get(`/api/turns/${id}`)).status === 200, { what: 'its acceptance' });
      assert.equal((await g.ended(id)).state, 'done');
    }
    const grown = (g.resident() - before) / 1e6;
    assert.ok(grown < 150, `${grown.toFixed(0)} MB for a socket that reads nothing`);
    assert.equal((await g.chat('[say quick]')).message.content, 'quick');
    socket.destroy();
  });
}, ['sqlite']);
