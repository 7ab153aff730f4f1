// A destructive tool is asked about before it is called: the question stands in the database, the
// answer comes from anywhere, later, once, and is good for exactly that call.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Adjutant, BACKENDS, Crashes, createUser, eachBackend, eventually, Fake, fresh, McpServer, sleep, tools } from './harness.mjs';
import { agui, openai } from './lib/entries.mjs';

const erase = (file, then = '[echo-results]') => `[tool erase {"path":"${file}"}] [then] ${then}`;

/** A turn that ends with a question: {threadId, turnId, interrupt, events}. */
async function asked(g, message, more = {}, options = {}) {
  const s = await g.stream(message, more, options);
  const events = (await s.all()).map((e) => e.json);
  const end = events.at(-1);
  assert.equal(end.type, 'RUN_FINISHED', JSON.stringify(end));
  assert.equal(end.outcome?.type, 'interrupt', JSON.stringify(end));
  return { threadId: s.threadId, turnId: s.turnId, events, interrupts: end.outcome.interrupts, interrupt: end.outcome.interrupts[0] };
}

const open = async (g, options) => (await g.get('/api/interrupts', options)).json.interrupts;
const answer = (g, id, body, options) => g.post(`/api/interrupts/${id}`, body, options);

/** Answers, and waits for the turn that goes on. */
async function settle(g, id, body, options) {
  const r = await answer(g, id, body, options);
  assert.ok(r.status === 200 || r.status === 202, `${r.status} ${r.text}`);
  const turn = r.json.turn_id;
  await g.ended(turn);
  return { ...r, turnId: turn, last: (await g.messages(r.json.thread_id)).at(-1) };
}

const text = (m) => (typeof m.content === 'string' ? m.content : m.content.map((b) => b.text ?? '').join(''));

eachBackend('approvals', (start, backend) => {
  let server;
  before(async () => { server = await McpServer.start({ tools: [tools.erase, tools.echo, tools.plain, tools.ask_name, tools.safe_count] }); });
  after(() => server.stop());
  const g = start({ mcp: () => ({ disk: server.definition() }) });
  const erased = (file) => (server.erased ?? []).filter((p) => p === file).length;

  test('what only reads is called, anything else is asked about', async () => {
    await eventually(async () => /echo: a/.test((await g.chat('[tool echo {"message":"a"}] [then] [echo-results]')).message?.content ?? ''), { what: 'the tools' });
    const { interrupt, turnId } = await asked(g, erase('/asked'));
    assert.equal(interrupt.reason, 'tool_call');
    assert.match(interrupt.message, /erase/);
    assert.deepEqual(interrupt.metadata.arguments, { path: '/asked' });
    assert.ok(Date.parse(interrupt.expiresAt) > Date.now());
    assert.equal((await g.turn(turnId)).state, 'interrupted');
    assert.ok((await open(g)).some((i) => i.id === interrupt.id));
    assert.equal((await asked(g, '[tool plain {}]')).interrupt.metadata.tool, 'plain');
    assert.equal(erased('/asked') + server.executions('plain'), 0);
  });

  test('asked, the gateway restarted, approved by another client, executed once', async () => {
    const { interrupt, threadId } = await asked(g, erase('/restart'));
    await g.restart();
    const other = await openai(g).models.list().then(() => open(g));
    const found = other.find((i) => i.id === interrupt.id);
    assert.ok(found, 'the question is gone');
    assert.equal(erased('/restart'), 0);
    const { last, json } = await settle(g, interrupt.id, { approved: true });
    assert.equal(json.thread_id, threadId);
    assert.equal(text(last), 'erase says: erased /restart');
    assert.equal(erased('/restart'), 1);
    assert.ok(!(await open(g)).some((i) => i.id === interrupt.id));
  });

  test('killed while it waits', async () => {
    const { interrupt } = await asked(g, erase('/killed'));
    await g.kill();
    await g.begin();
    await settle(g, interrupt.id, { approved: true });
    assert.equal(erased('/killed'), 1);
  });

  test('denied: the model reads it', async () => {
    const { interrupt } = await asked(g, erase('/denied'));
    const { last } = await settle(g, interrupt.id, { approved: false, reason: 'I still need that file' });
    assert.match(text(last), /declined/i);
    assert.match(text(last), /I still need that file/);
    assert.equal(erased('/denied'), 0);
    assert.equal((await answer(g, interrupt.id, { approved: true })).status, 409);
    assert.equal(erased('/denied'), 0);
  });

  test('approved twice, one after the other and at once: executed once', async () => {
    const one = await asked(g, erase('/twice'));
    await settle(g, one.interrupt.id, { approved: true });
    assert.equal((await answer(g, one.interrupt.id, { approved: true })).status, 409);
    assert.equal((await answer(g, one.interrupt.id, { approved: false })).status, 409);
    const two = await asked(g, erase('/at-once'));
    const all = await Promise.all(Array.from({ length: 8 }, (_, i) => answer(g, two.interrupt.id, { approved: i !== 3 })));
    const won = all.filter((r) => r.status < 300);
    assert.equal(won.length, 1, all.map((r) => r.status).join(' '));
    assert.ok(all.every((r) => r.status < 300 || r.status === 409), all.map((r) => r.status).join(' '));
    await g.ended(won[0].json.turn_id);
    assert.deepEqual([erased('/twice'), erased('/at-once') <= 1], [1, true]);
  });

  test('the answer belongs to that call: what is edited is what is executed', async () => {
    const { interrupt, threadId } = await asked(g, erase('/important'));
    const { last } = await settle(g, interrupt.id, { approved: true, arguments: { path: '/harmless' } });
    assert.match(text(last), /erased \/harmless/);
    assert.deepEqual([erased('/important'), erased('/harmless')], [0, 1]);
    const stored = JSON.stringify(await g.messages(threadId));
    assert.match(stored, /changed the arguments/);
    const bad = await asked(g, erase('/x'));
    for (const body of [{ approved: true, arguments: 'rm' }, { approved: 'yes' }, {}, { approved: true, arguments: [1] }]) {
      assert.equal((await answer(g, bad.interrupt.id, body)).status, 400, JSON.stringify(body));
    }
    assert.equal(erased('/x'), 0);
  });

  test('a call that was changed in the database is not made', async () => {
    for (const [table, column] of [['interrupts', 'arguments'], ['interrupts', 'tool'], ['interrupts', 'server'], ['messages', 'content']]) {
      const [file, other] = [`/mine-${table}-${column}`, `/evil-${table}-${column}`];
      const { interrupt, threadId } = await asked(g, erase(file));
      const swap = { arguments: [file, other], content: [file, other], tool: ['erase', 'plain'], server: ['disk', 'desk'] }[column];
      const where = table === 'messages' ? `thread_id = '${threadId}' AND role = 'assistant'` : `id = '${interrupt.id}'`;
      await write(g, `UPDATE ${table} SET ${column} = REPLACE(${column}, '${swap[0]}', '${swap[1]}') WHERE ${where}`);
      const { last } = await settle(g, interrupt.id, { approved: true });
      assert.match(text(last), /not the call that the user was asked about/, `${table}.${column}`);
      assert.deepEqual([erased(file), erased(other)], [0, 0], `${table}.${column}`);
    }
    assert.equal(server.executions('plain'), 0);
  });

  test('going on without an answer is an answer', async () => {
    const { interrupt, threadId } = await asked(g, erase('/later'));
    const r = await g.chat('never mind [say all right]', { thread_id: threadId });
    assert.deepEqual([r.state, r.message.content], ['done', 'all right']);
    assert.equal((await answer(g, interrupt.id, { approved: true })).status, 409);
    assert.equal(erased('/later'), 0);
    const { counters } = await g.fake.log(0);
    assert.equal(counters.refused ?? 0, 0, 'a prompt was malformed');
  });

  test('several questions of one turn', async () => {
    const s = await asked(g, '[tool erase {"path":"/many-1"}] [tool echo {"message":"meanwhile"}] [tool erase {"path":"/many-2"}] [tool erase {"path":"/many-3"}] [then] [echo-results]');
    assert.equal(s.interrupts.length, 3);
    for (const [i, approved] of [true, false].entries()) {
      const r = await answer(g, s.interrupts[i].id, { approved });
      assert.ok(r.status < 300, r.text);
      assert.equal(erased('/many-1'), 0, 'it went on before all was answered');
    }
    const { last } = await settle(g, s.interrupts[2].id, { approved: true });
    assert.match(text(last), /erased \/many-1/);
    assert.match(text(last), /echo: meanwhile/);
    assert.deepEqual([1, 2, 3].map((i) => erased(`/many-${i}`)), [1, 0, 1]);
  });

  test('always: it is not asked again, and that can be taken back', async () => {
    const first = await asked(g, erase('/always-1'));
    await settle(g, first.interrupt.id, { approved: true, always: true });
    const r = await g.chat(erase('/always-2'));
    assert.equal(r.message.content, 'erase says: erased /always-2');
    await g.restart();
    await eventually(async () => (await g.chat(erase('/always-3'))).message?.content === 'erase says: erased /always-3', { what: 'the third' });
    assert.equal((await g.request('DELETE', '/api/policies?server=disk&tool=erase')).status, 204);
    await asked(g, erase('/always-4'));
    assert.equal((await g.request('PUT', '/api/policies', { body: { server: 'disk', tool: 'erase', policy: 'deny' } })).status, 200);
    assert.match((await g.chat(erase('/always-5'))).message.content, /not allow/i);
    assert.equal((await g.request('DELETE', '/api/policies?server=disk&tool=erase')).status, 204);
    assert.deepEqual([1, 2, 4, 5].map((i) => erased(`/always-${i}`)), [1, 1, 0, 0]);
  });

  test('the official AG-UI client resumes', async () => {
    const run = await agui(g, erase('/agui'));
    const end = run.events.at(-1);
    assert.equal(end.outcome.type, 'interrupt', JSON.stringify(end));
    const [interrupt] = end.outcome.interrupts;
    const resumed = await agui(g, undefined, { agent: run.agent, input: { resume: [{ interruptId: interrupt.id, status: 'resolved', payload: { approved: true } }] } });
    assert.equal(resumed.events.at(-1).outcome?.type ?? 'success', 'success');
    assert.equal(erased('/agui'), 1);
    assert.ok(resumed.events.some((e) => e.type === 'TOOL_CALL_RESULT' && /erased/.test(JSON.stringify(e.content))));
    assert.ok(!resumed.events.some((e) => e.type === 'TOOL_CALL_START' && e.toolCallName === 'erase'), 'the call was shown again');
    const denied = await agui(g, erase('/agui-no'));
    await agui(g, undefined, { agent: denied.agent, input: { resume: [{ interruptId: denied.events.at(-1).outcome.interrupts[0].id, status: 'cancelled' }] } });
    assert.equal(erased('/agui-no'), 0);
  });

  test('a WebSocket resumes', async () => {
    const ws = await g.socket();
    const { runId } = await ws.chat({ message: erase('/ws') });
    const end = (await ws.end(runId)).at(-1).event;
    const [interrupt] = end.outcome.interrupts;
    ws.send({ type: 'answer', ref: 'r1', interruptId: interrupt.id, answer: { approved: true } });
    const accepted = await ws.next((f) => f.ref === 'r1');
    assert.equal(accepted.type, 'accepted', JSON.stringify(accepted));
    await ws.end(accepted.runId);
    assert.equal(erased('/ws'), 1);
    await ws.close();
  });

  test('a client of OpenAI\'s API answers in words', async () => {
    const thread = fresh();
    const say = async (content) => (await openai(g).chat.completions.create({ model: 'adjutant', user: thread, messages: [{ role: 'user', content }] })).choices[0].message.content;
    const question = await say(erase('/openai'));
    assert.match(question, /erase/);
    assert.match(question, /\/openai/);
    const code = /approve ([A-Z0-9]{4,})/i.exec(question)?.[1];
    assert.ok(code, question);
    assert.equal(erased('/openai'), 0);
    assert.match(await say(`approve ${code}`), /erased \/openai/);
    assert.equal(erased('/openai'), 1);
    const again = /deny ([A-Z0-9]{4,})/i.exec(await say(erase('/openai-no')))?.[1];
    await say(`deny ${again}`);
    assert.equal(erased('/openai-no'), 0);
    const r = await openai(g).responses.create({ model: 'adjutant', input: erase('/responses') });
    const third = /approve ([A-Z0-9]{4,})/i.exec(r.output_text)?.[1];
    const done = await openai(g).responses.create({ model: 'adjutant', input: `approve ${third}`, previous_response_id: r.id });
    assert.match(done.output_text, /erased \/responses/);
  });

  test('a server asks the user, who answers', async () => {
    const { interrupt } = await asked(g, '[tool ask_name {}] [then] [echo-results]');
    assert.equal(interrupt.reason, 'input_required');
    assert.match(interrupt.message, /What is your name/);
    const { last } = await settle(g, interrupt.id, { action: 'accept', content: { name: 'Ada' } });
    assert.match(text(last), /hello Ada/);
    const no = await asked(g, '[tool ask_name {}] [then] [echo-results]');
    assert.match(text((await settle(g, no.interrupt.id, { action: 'decline' })).last), /no name: decline/);
  });

  test('the command line asks and takes the answer', async () => {
    const list = await g.command(['chat', '--url', g.url, erase('/cli')]);
    assert.match(list.stdout + list.stderr, /erase/);
    assert.equal(erased('/cli'), 0);
  });

  if (backend === 'postgres') {
    test('nobody else may answer, or see', async () => {
      const [ann, bob] = [await createUser(g, 'ann'), await createUser(g, 'bob')];
      const { interrupt } = await asked(g, erase('/ann'), {}, { headers: ann.headers });
      assert.deepEqual(await open(g, { headers: bob.headers }), []);
      assert.equal((await bob.call('POST', `/api/interrupts/${interrupt.id}`, { approved: true })).status, 404);
      assert.equal((await ann.call('POST', `/api/interrupts/${interrupt.id}`, { approved: true })).status < 300, true);
      await eventually(() => erased('/ann') === 1, { what: 'the call' });
      await asked(g, erase('/bob'), {}, { headers: bob.headers });
      assert.equal(erased('/bob'), 0);
    });
  }
});

/** Changes a database behind the gateway's back. */
async function write(g, sql) {
  if (g.db) await g.postgres.query(sql, g.db);
  else execFileSync('sqlite3', ['-cmd', '.timeout 5000', path.join(g.home, 'adjutant.db'), sql]);
}

eachBackend('approvals that expire', (start) => {
  let server;
  before(async () => { server = await McpServer.start({ tools: [tools.erase] }); });
  after(() => server.stop());
  const g = start({ mcp: () => ({ disk: server.definition() }), env: { ADJUTANT_APPROVAL_TTL_S: '2' } });

  test('are refused, and the thread goes on', async () => {
    const first = await eventually(() => asked(g, erase('/expired')), { what: 'the question' });
    const { interrupt, threadId } = first;
    await sleep(2500);
    assert.equal((await answer(g, interrupt.id, { approved: true })).status, 409);
    assert.ok(!(await open(g)).some((i) => i.id === interrupt.id));
    assert.equal((await g.chat('[say and on]', { thread_id: threadId })).message.content, 'and on');
    assert.equal(server.executions('erase'), 0);
  });
});

for (const backend of BACKENDS) {
  describe(`approvals across crashes (${backend})`, { concurrency: 1 }, () => {
    let crashes, server;
    before(async () => {
      server = await McpServer.start({ tools: [tools.erase] });
      crashes = await Crashes.prepare({ backend, mcp: { disk: server.definition() } });
    });
    after(async () => {
      await crashes?.done();
      await server?.stop();
    });

    for (const suffix of ['', ':after']) {
      test(`killed right ${suffix ? 'after' : 'before'} each write of the answer and of what follows`, async (t) => {
        const states = { done: 0, unknown: 0 };
        let k = 1;
        for (; k <= 60; k++) {
          const g = await crashes.copy();
          await g.begin();
          const file = `/crash-${backend}${suffix}-${k}`;
          const { interrupt, threadId } = await eventually(() => asked(g, erase(file, '[say all done]')), { what: 'the question' });
          await g.stop();
          const turnId = fresh('resumed');
          await g.begin({ ADJUTANT_CRASH_AT: `${k}${suffix}` }, { ready: false });
          const first = await (async () => {
            await g.ready();
            const r = await answer(g, interrupt.id, { approved: true, turn_id: turnId });
            await Promise.race([g.ended(turnId), g.program.ended.then(() => { throw new Error('it was killed'); })]);
            return r;
          })().catch(() => undefined);
          if (first && g.alive) {
            await g.kill();
            await crashes.remove(g);
            break;
          }
          await g.died();
          await g.begin();
          const again = await answer(g, interrupt.id, { approved: true, turn_id: turnId });
          assert.ok(again.status < 300 || again.status === 409, `at write ${k}${suffix}: ${again.status} ${again.text}`);
          const end = await g.ended(turnId);
          assert.equal(end.state, 'done', `at write ${k}${suffix}: ${JSON.stringify(end)}`);
          const [[state]] = await g.query(`SELECT state FROM effects WHERE turn_id = '${turnId}' ORDER BY call_id`);
          const n = (server.erased ?? []).filter((p) => p === file).length;
          assert.ok(state === 'done' ? n === 1 : n <= 1, `at write ${k}${suffix}: ${state}, executed ${n} times`);
          states[state]++;
          const messages = await g.messages(threadId);
          assert.deepEqual(messages.map((m) => m.role), ['user', 'assistant', 'tool', 'assistant'], `at write ${k}${suffix}`);
          if (state === 'unknown') assert.match(text(messages[2]), /unknown/i);
          assert.deepEqual(await open(g), []);
          await g.stop();
          await crashes.remove(g);
        }
        t.diagnostic(`${k - 1} boundaries, ${JSON.stringify(states)}`);
        assert.ok(k - 1 >= 4, `only ${k - 1} boundaries were found`);
        assert.ok(states.done > 0);
      });
    }
  });
}

describe('approvals with two gateways', { skip: !BACKENDS.includes('postgres') }, () => {
  test('asked in one, approved in the other, at once in both', async () => {
    const fake = await Fake.start();
    const server = await McpServer.start({ tools: [tools.erase] });
    const options = { backend: 'postgres', fake, mcp: { disk: server.definition() } };
    const a = await Adjutant.start(options);
    const b = await Adjutant.start({ ...options, db: a.db });
    const erased = (file) => (server.erased ?? []).filter((p) => p === file).length;
    try {
      const one = await eventually(() => asked(a, erase('/one')), { what: 'the question' });
      const { last } = await settle(b, one.interrupt.id, { approved: true });
      assert.equal(text(last), 'erase says: erased /one');
      const two = await asked(a, erase('/two'));
      const all = await Promise.all(Array.from({ length: 6 }, (_, i) => answer(i % 2 ? a : b, two.interrupt.id, { approved: true })));
      assert.equal(all.filter((r) => r.status < 300).length, 1, all.map((r) => r.status).join(' '));
      await a.ended(all.find((r) => r.status < 300).json.turn_id);
      assert.deepEqual([erased('/one'), erased('/two')], [1, 1]);
      const three = await asked(b, erase('/three'));
      await b.kill();
      await settle(a, three.interrupt.id, { approved: true, always: true });
      assert.equal(erased('/three'), 1);
      await b.begin();
      await eventually(async () => (await b.chat(erase('/four'))).message?.content === 'erase says: erased /four', { what: 'the policy in the other process' });
    } finally {
      for (const g of [a, b]) if (g.alive) await g.stop();
      await fake.stop();
      await server.stop();
    }
  });
});
