// What a server may ask of the gateway beside its answers: only so much at a time.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Adjutant, BACKENDS, eventually, Fake, McpServer, sleep, tools } from './harness.mjs';

const ASKED = 30_000;
const AT_ONCE = 64;

describe('floods of requests from an MCP server', { skip: !BACKENDS.includes('sqlite'), concurrency: 1 }, () => {
  for (const method of ['ping', 'roots/list']) {
    describe(method, { concurrency: 1 }, () => {
      let fake, good, bad, g, open = 0, most = 0;
      before(async () => {
        fake = await Fake.start();
        good = await McpServer.start({ name: 'good', tools: [tools.echo] });
        bad = await McpServer.start({ name: 'bad', era: 'legacy', tools: [{ ...tools.echo, name: 'try_flood' }], hostile: {
          'tools/call': ({ res, rpc }) => {
            const asked = Array.from({ length: ASKED }, (_, i) => ({ jsonrpc: '2.0', id: `p${i}`, method }));
            res.writeHead(200, { 'Content-Type': 'text/event-stream' });
            res.write(`data: ${JSON.stringify(asked)}\n\n`);
            setTimeout(() => res.end(`data: ${JSON.stringify({ jsonrpc: '2.0', id: rpc.id, result: { content: [{ type: 'text', text: 'flooded' }] } })}\n\n`), 1500);
          },
          POST: ({ res }) => { // our answers, which it does not take
            most = Math.max(most, ++open);
            res.on('close', () => { open--; });
          },
        } });
        g = await Adjutant.start({ backend: 'sqlite', fake, mcp: { good: good.definition(), bad: bad.definition() } });
        await eventually(async () => /echo/.test((await g.chat('[tool echo {"message":"ready"}] [then] [echo-results]')).message.content), { what: 'the tools' });
        await eventually(() => bad.received('tools/list').length > 0, { what: 'the list' });
        await sleep(200);
      });
      after(async () => {
        if (g?.alive) await g.stop();
        await Promise.all([fake, good, bad].map((s) => s?.stop()));
      });

      test('others go on, few answers are on their way, and the call has its result', async () => {
        const flooded = g.chat('[tool try_flood {"message":"x"}] [then] [echo-results]');
        await eventually(() => most > 0, { what: 'the first answer' });
        const meanwhile = await g.chat('[tool echo {"message":"meanwhile"}] [then] [echo-results]');
          assert.match(meanwhile.message?.content ?? JSON.stringify(meanwhile), /echo: meanwhile/);
        const own = await flooded;
          assert.match(own.message?.content ?? JSON.stringify(own), /flooded/);
        assert.ok(most <= AT_ONCE, `${most} answers at once`);
      });
    });
  }
});
