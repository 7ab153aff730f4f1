// Questions under attack: edited arguments that a server asks about again, clients that know nothing
// but text, a process killed at every write between the answer and its end.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eachBackend, eventually, McpServer, tools } from './harness.mjs';

/** Erases once a person has confirmed it. */
const confirm = {
  name: 'wipe', description: 'Wipes a disk.', annotations: { destructiveHint: true },
  inputSchema: { type: 'object', properties: { 'disk[id]': { type: 'string' } }, required: ['disk[id]'] },
  run: async ({ arguments: a, elicit, server }) => {
    const r = await elicit('sure', { message: 'Are you sure?', requestedSchema: { type: 'object', properties: { sure: { type: 'boolean', default: true } } } });
    if (r.action === 'accept') (server.wiped ??= []).push(a['disk[id]']);
    return { content: [{ type: 'text', text: `${r.action}: ${a['disk[id]']}` }] };
  },
};

async function asked(g, message, more = {}) {
  const s = await g.stream(message, more);
  const end = (await s.all()).at(-1).json;
  assert.equal(end.outcome?.type, 'interrupt', JSON.stringify(end));
  return { threadId: s.threadId, turnId: s.turnId, interrupts: end.outcome.interrupts, interrupt: end.outcome.interrupts[0] };
}

const answer = (g, id, body) => g.post(`/api/interrupts/${id}`, body);

/** Answers; the turn that goes on, ended. */
async function settle(g, id, body) {
  const r = await answer(g, id, body);
  assert.equal(r.status, 202, r.text);
  await g.ended(r.json.turn_id);
  return { turn: await g.turn(r.json.turn_id), messages: await g.messages(r.json.thread_id), threadId: r.json.thread_id };
}

const open = async (g, threadId) => (await g.get(`/api/interrupts?thread_id=${threadId}`)).json.interrupts;

for (const era of ['modern', 'legacy']) {
  eachBackend(`approvals attacked, ${era} servers`, (start) => {
    let server;
    before(async () => { server = await McpServer.start({ era, tools: [confirm, tools.erase] }); });
    after(() => server.stop());
    const g = start({ provider: 'anthropic', mcp: () => ({ disk: server.definition() }) });
    before(() => eventually(async () => (await g.get('/api/tools?server=disk')).json.tools.length === 2, { what: 'the tools' }));

    test('what was edited stays edited when the server asks about it', async () => {
      const { interrupt, threadId } = await asked(g, '[tool wipe {"disk_id":"all"}] [then] [say done]');
      assert.deepEqual(interrupt.metadata.arguments, { 'disk[id]': 'all' });
      assert.equal((await settle(g, interrupt.id, { approved: true, arguments: { 'disk[id]': 'spare' } })).turn.state, 'interrupted');
      const [second] = await open(g, threadId);
      assert.equal(second.interrupt.metadata.kind, 'elicitation');
      assert.deepEqual(second.interrupt.metadata.arguments, { 'disk[id]': 'spare' });
      const { turn, messages } = await settle(g, second.id, { action: 'accept' });
      assert.equal(turn.state, 'done');
      assert.deepEqual(server.wiped, ['spare']);
      assert.match(JSON.stringify(messages), /changed the arguments/);
      assert.deepEqual(server.called('wipe').map((c) => c.arguments), server.called('wipe').map(() => ({ 'disk[id]': 'spare' })));
      server.wiped = [];
    });

    test('an answer that contradicts itself, or allows for good what is a form, is none', async () => {
      const { interrupt, threadId } = await asked(g, '[tool wipe {"disk_id":"x"}] [then] [say done]');
      assert.equal((await answer(g, interrupt.id, { approved: false, action: 'accept' })).status, 400);
      await settle(g, interrupt.id, { approved: true });
      const [form] = await open(g, threadId);
      for (const body of [{ action: 'accept', always: true }, { approved: false, action: 'accept' }, { action: 'accept', content: { sure: 'perhaps' } }, { action: 'maybe' }]) {
        assert.equal((await answer(g, form.id, body)).status, 400, JSON.stringify(body));
      }
      const words = await g.chat(`always ${form.interrupt.metadata.code}`).catch((e) => e);
      assert.ok(!words.state, JSON.stringify(words));
      const { messages } = await settle(g, form.id, { action: 'decline' });
      assert.match(JSON.stringify(messages), /decline: x/);
      assert.deepEqual(server.wiped, []);
    });

    test('what was done is not asked about when another call asks again', async () => {
      const { interrupts, threadId } = await asked(g, '[tool erase {"path":"/once"}] [tool wipe {"disk_id":"y"}] [then] [say done]');
      assert.equal(interrupts.length, 2);
      assert.equal((await answer(g, interrupts[0].id, { approved: true })).json.open, 1);
      await settle(g, interrupts[1].id, { approved: true });
      const left = await open(g, threadId);
      assert.deepEqual(left.map((i) => i.interrupt.metadata.tool), ['wipe']);
      const { turn } = await settle(g, left[0].id, { action: 'accept' });
      assert.equal(turn.state, 'done');
      assert.deepEqual(await open(g, threadId), []);
      assert.deepEqual([server.wiped, server.erased], [['y'], ['/once']]);
    });

    test('a client that sends its whole history and names no thread answers in words', async () => {
      const chat = async (messages, stream = false) => g.post('/v1/chat/completions', { model: 'adjutant', messages, stream });
      const user = { role: 'user', content: '[say I will] [tool erase {"path":"/words"}] [then] [say and again] [tool erase {"path":"/words2"}] [then] [say done]' };
      const first = await chat([{ role: 'system', content: 'Be brief.' }, user]);
      const question = first.json.choices[0].message.content;
      const code = /approve (\w{4})/.exec(question)[1];
      const second = await chat([{ role: 'system', content: 'Be brief.' }, user, { role: 'assistant', content: question }, { role: 'user', content: `Approve ${code}.` }], true);
      assert.equal(second.status, 200, second.text);
      assert.deepEqual(server.erased.filter((p) => p === '/words'), ['/words']);
      // The turn that goes on ends with a question again: it says what it said itself, once.
      const said = [...second.text.matchAll(/^data: (\{.*)$/gm)].map((m) => JSON.parse(m[1]));
      assert.ok(!said.some((c) => c.error), second.text);
      const told = said.map((c) => c.choices[0]?.delta?.content ?? '').join('');
      assert.match(told, /^and again\n\nMay I call erase/);
    });
  });
}
