// MCP servers that hang, lie, flood and die: each costs its own call a clear error and nothing else.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Adjutant, BACKENDS, eventually, Fake, HOSTILE, McpServer, McpStdio, sleep, tools } from './harness.mjs';
import { manyTools } from './lib/mcp_tools.mjs';

const TIMEOUT_MS = 1500; // of a call
const PATIENCE_MS = 25_000; // nothing may take longer, however slow the machine is
const MEMORY_BYTES = 120e6; // of gigabytes that are thrown at it; what a sanitizer holds back is kept small
const env = { ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? 'detect_stack_use_after_return=0:abort_on_error=1'}:quarantine_size_mb=4` };
const TAKEN_BYTES = 85e6; // 64 MiB of a stream, and what the kernel holds in between

/** The most memory it ever had. */
const peak = (g) => Number(/^VmHWM:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${g.program.pid}/status`, 'utf8'))[1]) * 1024;

/** A result that says what went wrong, to a model that knows nothing of our inside. */
function clear(text, name) {
  assert.ok(text.length > 10 && text.length < 600, `${name}: ${text.length} characters: ${text.slice(0, 300)}`);
  assert.doesNotMatch(text, /0x[0-9a-f]{6}|\.[ch]:\d|jansson|curl_|CURLE|\/tmp\/|sk-fake|s3cret/, name);
}

async function timed(what, promise) {
  const begun = Date.now();
  const value = await promise;
  assert.ok(Date.now() - begun < PATIENCE_MS, `${what} took ${Date.now() - begun} ms`);
  return value;
}

const CALLS = {
  silent: /time|answer/i, silentStream: /time|answer/i, drip: /time|answer/i, endlessProgress: /time|answer|long/i,
  garbage: /JSON|MCP|answer/i, garbageStream: /JSON|MCP|answer|ended/i, html: /MCP|answer|type/i, noRpc: /MCP|JSON|answer/i,
  emptyResult: /MCP|result|answer/i, deep: /deep|level|JSON|answer/i,
  endless: /./, endlessComments: /./, endlessLine: /large|long|limit|bytes|MiB/i,
  huge: /large|long|limit|bytes|MiB/i, hugeAnnounced: /large|long|limit|bytes|MiB/i, hugeStream: /large|long|limit|bytes|MiB/i, bomb: /./,
  dies: /connection|lost|closed|reach|answer/i, diesInAnswer: /connection|lost|closed|ended|answer/i, diesInStream: /connection|lost|closed|ended|answer/i,
  endsEarly: /ended|answer|lost/i, wrongId: /answer|id\b|MCP/i, wrongIdStream: /answer|ended|id\b/i, nullId: /did not get that|answer/i,
  hugeHeaders: /large|limit|header|answer|reach/i, badHttp: /HTTP|answer|reach/i,
  unauthorized: /401|refus|credential|author|sign|log/i, forbidden: /403|refus|forbid|allow/i, broken: /500|fail|error/i, busy: /429|busy|limit/i,
  sessionLost: /session|lost|answer/i,
};
const BEHAVIOUR = { ...HOSTILE, huge: HOSTILE.huge(), hugeAnnounced: HOSTILE.hugeAnnounced(), hugeStream: HOSTILE.hugeStream(), bomb: HOSTILE.bomb(), drip: HOSTILE.drip() };

describe('hostile MCP servers', { skip: !BACKENDS.includes('sqlite'), concurrency: 1 }, () => {
  for (const era of ['legacy', 'modern']) {
    describe(`${era}, in the middle of a call`, { concurrency: 1 }, () => {
      const servers = {};
      let fake, good, elsewhere, g, calm;
      before(async () => {
        fake = await Fake.start();
        good = await McpServer.start({ name: 'good', tools: [tools.echo] });
        elsewhere = await McpServer.start({ name: 'elsewhere', tools: [tools.echo] });
        const add = async (name, behaviour) => {
          servers[name] = await McpServer.start({ name, era, tools: [{ ...tools.echo, name: `try_${name}` }], hostile: { 'tools/call': behaviour } });
        };
        for (const name of Object.keys(CALLS)) await add(name, BEHAVIOUR[name]);
        await add('redirect', HOSTILE.redirect(elsewhere.url));
        await add('redirectName', HOSTILE.redirect(elsewhere.url.replace('127.0.0.1', 'localhost'), 302));
        const mcp = { good: good.definition() };
        for (const [name, s] of Object.entries(servers)) mcp[name] = s.definition({ timeout_ms: TIMEOUT_MS, headers: { 'X-Secret': 's3cret' } });
        g = await Adjutant.start({ backend: 'sqlite', fake, mcp, env });
        await eventually(async () => /echo/.test((await g.chat('[tool echo {"message":"ready"}] [then] [echo-results]')).message.content), { what: 'the first tools' });
        await eventually(async () => Object.values(servers).every((s) => s.received('tools/list').length > 0), { what: 'the lists' });
        await sleep(200);
        calm = peak(g);
      });
      after(async () => {
        if (g?.alive) await g.stop();
        await Promise.all([fake, good, elsewhere, ...Object.values(servers)].map((s) => s?.stop()));
      });

      /** The result that the model read of a call beside one of a good server. */
      const attempt = async (name) => {
        const s = await g.stream(`[tool try_${name} {"message":"x"}] [tool echo {"message":"beside ${name}"}] [then] [say went on]`);
        await timed(name, s.all(PATIENCE_MS));
        const messages = await g.messages(s.threadId);
        assert.equal((await g.turn(s.turnId)).state, 'done', `${name}: ${JSON.stringify(await g.turn(s.turnId))}`);
        assert.equal(messages.at(-1).content, 'went on');
        const [bad, echo] = messages.filter((m) => m.role === 'tool').map((m) => (typeof m.content === 'string' ? m.content : m.content.map((b) => b.text).join('')));
        assert.equal(echo, `echo: beside ${name}`);
        return { bad, is_error: messages.find((m) => m.role === 'tool').is_error };
      };

      for (const [name, words] of Object.entries(CALLS)) {
        test(name, async () => {
          const { bad, is_error } = await attempt(name);
          assert.equal(is_error, true, `${name}: ${bad}`);
          clear(bad, name);
          assert.match(bad, words);
          assert.ok(servers[name].executions(`try_${name}`) <= 1 && servers[name].received('tools/call').length >= 1);
          assert.ok(servers[name].sent < TAKEN_BYTES, `it took ${servers[name].sent} bytes`);
        });
      }

      for (const name of ['redirect', 'redirectName']) {
        test(`${name}: to another host`, async () => {
          const { bad } = await attempt(name);
          clear(bad, name);
          assert.deepEqual(elsewhere.requests, []);
        });
      }

      test('memory stayed flat, and nothing is left open', async (t) => {
        const grown = peak(g) - calm;
        t.diagnostic(`at most ${Math.round(grown / 1e6)} MB more`);
        assert.ok(grown < MEMORY_BYTES, `it grew by ${Math.round(grown / 1e6)} MB`);
        assert.equal((await g.chat('[tool echo {"message":"still here"}] [then] [echo-results]')).message.content, 'echo says: echo: still here');
        for (const name of ['endless', 'endlessLine', 'endlessComments', 'endlessProgress', 'silentStream']) {
          await eventually(async () => new Promise((resolve) => servers[name].http.getConnections((_, n) => resolve(n <= 2))), { what: `the end of ${name}'s stream` });
        }
      });
    });
  }

  describe('at the first contact', { concurrency: 1 }, () => {
    const LISTS = {
      silent: ['*', HOSTILE.silent], garbage: ['*', HOSTILE.garbage], html: ['*', HOSTILE.html], endless: ['*', HOSTILE.endless], endlessLine: ['*', HOSTILE.endlessLine],
      huge: ['*', HOSTILE.huge()], dies: ['*', HOSTILE.dies], hugeHeaders: ['*', HOSTILE.hugeHeaders], badHttp: ['*', HOSTILE.badHttp],
      unauthorized: ['*', HOSTILE.unauthorized], forbidden: ['*', HOSTILE.forbidden], broken: ['*', HOSTILE.broken], busy: ['*', HOSTILE.busy], wrongId: ['*', HOSTILE.wrongId],
      listSilent: ['tools/list', HOSTILE.silent], listGarbage: ['tools/list', HOSTILE.garbage], listHuge: ['tools/list', HOSTILE.huge()], listStream: ['tools/list', HOSTILE.endless],
      listPages: ['tools/list', HOSTILE.endlessPages], listRepeats: ['tools/list', HOSTILE.repeatedCursor], listLost: ['tools/list', HOSTILE.sessionLost],
    };
    const servers = {}, processes = {};
    let fake, good, elsewhere, many, bad, g, calm;
    before(async () => {
      fake = await Fake.start();
      good = await McpServer.start({ name: 'good', tools: [tools.echo] });
      elsewhere = await McpServer.start({ name: 'elsewhere', tools: [tools.echo] });
      many = await McpServer.start({ name: 'many', tools: manyTools(10_000) });
      bad = await McpServer.start({ name: 'bad', tools: [
        { name: 'x'.repeat(300), run: tools.echo.run }, { name: 'spaced out!', annotations: { readOnlyHint: true }, run: tools.echo.run }, { name: 7 }, { name: 'no_schema', inputSchema: 'none' },
        { name: 'deep', inputSchema: { type: 'object', properties: { a: nest(60) } } }, { name: 'refers', inputSchema: { type: 'object', properties: { a: { $ref: 'http://127.0.0.1:9/x.json' } } } },
        { name: 'union', annotations: { readOnlyHint: true }, inputSchema: { type: 'object', anyOf: [{ required: ['a'] }, { required: ['b'] }], properties: { a: { type: 'array' }, b: { $ref: '#/$defs/b' } }, $defs: { b: { type: 'string' } } },
          run: tools.echo.run },
        { ...tools.echo, name: 'fine' }] });
      for (const [name, [method, behaviour]] of Object.entries(LISTS)) servers[name] = await McpServer.start({ name, tools: [tools.echo], hostile: { [method]: behaviour } });
      servers.redirect = await McpServer.start({ name: 'redirect', hostile: { '*': HOSTILE.redirect(elsewhere.url) } });
      for (const mode of ['silent', 'crashes', 'dies', 'flood', 'garbage', 'stubborn', 'honest']) processes[mode] = new McpStdio(mode);
      const mcp = { good: good.definition(), many: many.definition(), bad: bad.definition(), nowhere: { url: 'http://127.0.0.1:9/mcp' }, noname: { url: 'http://no-such-host.invalid/mcp' },
        nocommand: { command: '/nowhere/at/all' } };
      for (const [name, s] of Object.entries(servers)) mcp[name] = s.definition({ timeout_ms: TIMEOUT_MS, headers: { 'X-Secret': 's3cret' } });
      for (const [mode, p] of Object.entries(processes)) mcp[`stdio_${mode}`] = p.definition({ timeout_ms: TIMEOUT_MS });
      g = await Adjutant.start({ backend: 'sqlite', fake, mcp, env });
      calm = peak(g);
    });
    after(async () => {
      if (g?.alive) await g.stop();
      await Promise.all([fake, good, elsewhere, many, bad, ...Object.values(servers)].map((s) => s?.stop()));
    });

    test('the first turn is answered, and a good server\'s tools are there', async () => {
      assert.equal((await timed('the first turn', g.chat('[say at once]'))).message.content, 'at once');
      await eventually(async () => (await g.chat('[tool good_echo {"message":"x"}] [tool echo {"message":"x"}] [then] [echo-results]')).message.content.includes('echo: x'),
        { what: 'the good server\'s tools', deadlineMs: PATIENCE_MS });
    });

    test('of too many tools some are found', async () => {
      await eventually(async () => many.received('tools/list').length >= 2, { what: 'the list', deadlineMs: PATIENCE_MS });
      const r = await eventually(async () => {
        const answer = await g.chat('[tool search_tools {"query":"tool_00123"}] [then] [tool tool_00123 {}] [then] [echo-results]');
        return /this is tool 123/.test(answer.message.content) && answer;
      }, { what: 'tool 123', deadlineMs: PATIENCE_MS });
      assert.equal(r.state, 'done');
      const body = (await fake.requests(1))[0].body;
      assert.ok(body.tools.length <= 128, `${body.tools.length} tools were offered`);
      const { connections } = (await g.get('/api/connections')).json;
      const listed = connections.find((c) => c.name === 'many');
      assert.ok(listed.tools <= 2000);
      assert.match(listed.list_warning, /more than is taken/);
    });

    test('bad tools are left out one by one', async () => {
      const r = await g.chat('[tool fine {"message":"y"}] [then] [echo-results]');
      assert.match(r.message.content, /echo: y/);
      const { counters } = await fake.log(0);
      assert.equal(counters.refused ?? 0, 0, 'a provider refused a request for a bad tool');
    });

    test('pages without end come to an end', () => {
      assert.ok(servers.listPages.pages <= 250, `${servers.listPages.pages} pages were fetched`);
      assert.ok(servers.listRepeats.pages <= 10, `${servers.listRepeats.pages} pages were fetched`);
      for (const s of Object.values(servers)) assert.ok(s.sent < TAKEN_BYTES, `${s.name}: it took ${s.sent} bytes`);
      assert.deepEqual(elsewhere.requests, []);
    });

    test('nobody is asked in a storm', async () => {
      await eventually(() => servers.listPages.pages >= 200, { what: 'the end of the pages', deadlineMs: PATIENCE_MS });
      const before = Object.fromEntries(Object.entries(servers).map(([name, s]) => [name, s.requests.length]));
      for (let i = 0; i < 10; i++) await g.chat('[say ok]');
      await sleep(1000);
      for (const [name, s] of Object.entries(servers)) assert.ok(s.requests.length - before[name] < 20, `${name}: ${s.requests.length - before[name]} requests`);
      assert.ok(processes.crashes.pids.length < 8, `started ${processes.crashes.pids.length} times`);
    });

    test('programs that misbehave in a call', async () => {
      for (const mode of ['dies', 'flood', 'garbage']) {
        const name = `stdio_${mode}_echo`;
        const s = await g.stream(`[tool search_tools {"query":"${mode} echo"}] [then] [tool ${name} {"message":"x"}] [then] [say went on]`);
        await timed(mode, s.all(PATIENCE_MS));
        const result = (await g.messages(s.threadId)).filter((m) => m.role === 'tool').at(-1);
        clear(typeof result.content === 'string' ? result.content : result.content[0].text, mode);
        assert.equal(result.is_error, true);
        assert.equal((await g.turn(s.turnId)).state, 'done');
      }
    });

    test('memory stayed flat', (t) => {
      const grown = peak(g) - calm;
      t.diagnostic(`at most ${Math.round(grown / 1e6)} MB more`);
      assert.ok(grown < MEMORY_BYTES, `it grew by ${Math.round(grown / 1e6)} MB`);
    });

    test('it stops in good order, and no program is left', async () => {
      await timed('the stop', g.stop());
      for (const p of Object.values(processes)) for (const pid of p.pids) assert.ok(!fs.existsSync(`/proc/${pid}`), `${p.mode} is still there`);
      assert.ok(!g.output.includes('s3cret'));
    });
  });
});

function nest(levels) {
  return levels ? { type: 'object', properties: { a: nest(levels - 1) } } : { type: 'string' };
}
