// Records what the gateway tells of turns, live and stored: `node test/record.mjs` writes
// test/data/*.jsonl, a line a turn: {name, threadId, turnId, frames, page}. Needs a build of the
// gateway (ADJUTANT_BUILD) and `npm ci` in tests/flow.
import fs from 'node:fs';
import { Adjutant, Fake } from '../../tests/flow/lib/programs.mjs';
import { McpServer, tools } from '../../tests/flow/lib/mcp_servers.mjs';

const here = new URL('./data/', import.meta.url);
const MCP = [tools.erase, tools.echo, tools.steps, tools.picture];

const fake = await Fake.start();
const server = await McpServer.start({ tools: MCP });
const gateways = [];

async function gateway(options = {}) {
  const g = await Adjutant.start({
    backend: 'sqlite',
    fake,
    mcp: { disk: server.definition() },
    ...options,
  });
  gateways.push(g);
  return g;
}

const frames = (events) =>
  events.filter((e) => e.id).map((e) => ({ seq: Number(e.id), event: e.json }));

async function page(g, threadId) {
  const { json } = await g.get(`/api/threads/${threadId}?limit=200&images=link`);
  return json;
}

async function turn(g, name, message, more = {}) {
  const s = await g.stream(message, { thread_id: name, turn_id: `${name}-turn`, ...more });
  return {
    name,
    threadId: s.threadId,
    turnId: s.turnId,
    frames: frames(await s.all()),
    page: await page(g, s.threadId),
  };
}

function write(file, turns) {
  fs.mkdirSync(here, { recursive: true });
  fs.writeFileSync(new URL(file, here), turns.map((t) => `${JSON.stringify(t)}\n`).join(''));
}

async function provider(name) {
  const g = await gateway({ provider: name });
  for (let i = 0; i < 50; i++) {
    const { json } = await g.get('/api/connections?wait_ms=500');
    if (json.connections.every((c) => c.state === 'ready')) break;
  }
  const say = (what, message) => turn(g, `${name}-${what}`, message);
  write(`${name}.jsonl`, [
    await say('words', '[tokens 40]'),
    await say('reasoning', '[reason 12] [tokens 8]'),
    await say(
      'tools',
      '[reason 5] [say Let me see.] [tool calculate {"expression":"6*7"}] ' +
        '[tool current_time {"time_zone":"Europe/Berlin"}] [then] [reason 4] [tool echo {"message":"a"}] [then] [tokens 6]',
    ),
    await say('progress', '[tool steps {"n":4,"ms":110}] [then] [say Done.]'),
    await say('picture', '[tool picture {}] [then] [say A pixel.]'),
    await say('failing-tool', '[tool calculate {"expression":"6/"}] [then] [say It failed.]'),
    await say('bad-arguments', '[bad-args] [tool calculate {}] [then] [say Oh.]'),
    await say('retried', '[fail-times 1 503] [tokens 5]'),
    await say('refused', '[status 400]'),
    await say('cut', '[tokens 30] [cut 10]'),
  ]);
}

async function cancelled() {
  const g = await gateway();
  const ids = { thread_id: 'cancelled', turn_id: 'cancelled-turn' };
  const s = await g.stream('[reason 3] [tokens 200] [delay 20]', ids);
  await s.until((e) => e.filter((x) => x.json.type === 'TEXT_MESSAGE_CONTENT').length > 5);
  await g.post('/api/turns/cancelled-turn/cancel', {});
  const events = frames(await s.all());
  write('cancelled.jsonl', [
    {
      name: 'cancelled',
      threadId: 'cancelled',
      turnId: 'cancelled-turn',
      frames: events,
      page: await page(g, 'cancelled'),
    },
  ]);
}

/** Two calls are asked about; one is approved, one denied; a turn goes on. */
async function asked() {
  const g = await gateway();
  const first = await turn(
    g,
    'asked',
    '[say I want to tidy up.] [tool erase {"path":"/a"}] [tool erase {"path":"/b"}] [then] [tokens 5]',
  );
  const { interrupts } = first.frames.at(-1).event.outcome;
  await g.post(`/api/interrupts/${interrupts[0].id}`, { approved: true });
  const { json } = await g.post(`/api/interrupts/${interrupts[1].id}`, {
    approved: false,
    reason: 'no',
    turn_id: 'asked-again',
  });
  const s = await g.follow(json.turn_id);
  const second = { name: 'asked-again', threadId: 'asked', turnId: json.turn_id };
  second.frames = frames(await s.all());
  second.page = await page(g, 'asked');
  write('asked.jsonl', [first, second]);
}

/** Killed in mid-answer, between rounds of tools; the next process takes over. */
async function takenOver() {
  const g = await gateway({ env: { ADJUTANT_LEASE_MS: '1000' } });
  const ids = { thread_id: 'taken', turn_id: 'taken-turn' };
  const message =
    '[reason 4] [say First.] [tool calculate {"expression":"1+1"}] [then] [tokens 60] [delay 30]';
  let s = await g.stream(message, ids);
  const events = [];
  for (const pause of [12, 30]) {
    await s.until((e) => e.length > pause);
    await g.kill();
    await s.all();
    events.push(...frames(s.events));
    await g.begin();
    s = await g.follow(ids.turn_id, events.at(-1).seq);
  }
  events.push(...frames(await s.all()));
  write('taken-over.jsonl', [
    {
      name: 'taken-over',
      threadId: ids.thread_id,
      turnId: ids.turn_id,
      frames: events,
      page: await page(g, ids.thread_id),
    },
  ]);
}

try {
  await provider('anthropic');
  await provider('openai');
  await cancelled();
  await asked();
  await takenOver();
} finally {
  for (const g of gateways) if (g.alive) await g.stop();
  await server.stop();
  await fake.stop();
}
process.exit();
