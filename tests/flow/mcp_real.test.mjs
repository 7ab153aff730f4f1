// Turns that use MCP servers from npm, over every entry point.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Adjutant, BACKENDS, checkEvents, Fake, McpServer, scratch, sleep, tools, view, eventually } from './harness.mjs';
import { ENTRIES } from './lib/entries.mjs';
import { Everything, processes, stdio } from './lib/mcp_real.mjs';

const results = (events) => [...view(events).calls.values()].flatMap((c) => c.results ?? []);

for (const backend of BACKENDS) {
  describe(`MCP servers from npm (${backend})`, { concurrency: 1 }, () => {
    let fake, everything, recorder, g;
    const files = scratch();
    before(async () => {
      [fake, everything, recorder] = await Promise.all([Fake.start(), Everything.start(), McpServer.start({ tools: [tools.wait, tools.steps, tools.echo] })]);
      fs.writeFileSync(path.join(files, 'note.txt'), 'milk and eggs');
      g = await Adjutant.start({ backend, fake, env: (f) => f.everything(), mcp: {
        everything: everything.definition(),
        local: stdio('everything', 'stdio'),
        memory: { ...stdio('memory'), env: { MEMORY_FILE_PATH: path.join(files, 'memory.json') } },
        files: stdio('filesystem', files),
        recorder: recorder.definition(),
      } });
    });
    after(async () => {
      if (g?.alive) await g.stop();
      await Promise.all([fake?.stop(), everything?.stop(), recorder?.stop()]);
    });

    test('their tools are listed, more than a model is shown at once', async () => {
      const expected = { everything: 'get-sum', local: 'get-sum', memory: 'create_entities', files: 'read_text_file', recorder: 'wait' };
      for (const [name, tool] of Object.entries(expected)) {
        const r = await eventually(async () => {
          const answer = await g.get(`/api/connections/${name}/tools?wait_ms=5000`);
          return answer.json.state === 'ready' && answer;
        }, { what: `${name} to be ready` });
        const listed = r.json.tools.find((t) => t.name === tool);
        assert.ok(listed && !listed.quarantine && listed.input_schema.type === 'object', `${name}: ${tool}`);
      }
      await g.chat('[say hello]');
      const [{ body }] = await fake.requests(1);
      const names = body.tools.map((t) => t.name);
      assert.ok(names.includes('search_tools') && names.length <= 41, names.join(' '));
    });

    for (const [entry, ask] of Object.entries(ENTRIES)) {
      test(`${entry}: the model calls a tool, gets the result and answers`, async () => {
        const { text, events } = await ask(g, '[tool search_tools {"query":"sum of two numbers"}] [then] [tool get-sum {"a":20,"b":22}] [then] [echo-results]');
        assert.match(text, /sum.*\b42\b/i);
        if (events) {
          if (!['AG-UI'].includes(entry)) checkEvents(events.map((json) => ({ json })));
          assert.match(results(events).at(-1), /42/);
        }
      });
    }

    test('a tool on stdio that is asked about, and keeps its state', async () => {
      const message = '[tool search_tools {"query":"create entities knowledge graph"}] [then] '
        + '[tool create_entities {"entities":[{"name":"Ada","entityType":"person","observations":["likes tea"]}]}] [then] [echo-results]';
      assert.equal((await g.chat(message)).state, 'interrupted');
      assert.equal((await g.request('PUT', '/api/policies', { body: { server: 'memory', tool: 'create_entities', policy: 'allow' } })).status, 200);
      assert.match((await g.chat(message)).message.content, /Ada/);
      const r = await g.chat('[tool search_tools {"query":"search nodes knowledge graph"}] [then] [tool search_nodes {"query":"tea"}] [then] [echo-results]');
      assert.match(r.message.content, /Ada/);
      assert.match(fs.readFileSync(path.join(files, 'memory.json'), 'utf8'), /likes tea/);
    });

    test('a file is read', async () => {
      const file = path.join(files, 'note.txt');
      const r = await g.chat(`[tool search_tools {"query":"read text file"}] [then] [tool read_text_file {"path":"${file}"}] [then] [echo-results]`);
      assert.match(r.message.content, /milk and eggs/);
      const no = await g.chat('[tool search_tools {"query":"read text file"}] [then] [tool read_text_file {"path":"/etc/passwd"}] [then] [echo-results]');
      assert.match(no.message.content, /denied|outside/i);
    });

    test('structured results, links and resources are told in words', async () => {
      const r = await g.chat('[tool search_tools {"query":"structured content weather"}] [tool search_tools {"query":"resource links reference"}] [then] '
        + '[tool get-structured-content {"location":"New York"}] [tool get-resource-links {"count":2}] [tool get-resource-reference {"resourceType":"Text","resourceId":1}] [then] [echo-results]');
      assert.match(r.message.content, /temperature/);
      assert.match(r.message.content, /resource/i);
    });

    test('progress is shown while a tool works', async () => {
      const s = await g.stream('[tool search_tools {"query":"long running operation"}] [then] [tool trigger-long-running-operation {"duration":1,"steps":4}] [then] [say over]');
      const events = await s.all();
      checkEvents(events);
      const progress = events.map((e) => e.json).filter((e) => e.type === 'CUSTOM' && e.name === 'tool_progress');
      assert.ok(progress.length >= 2, s.summary());
      assert.ok(progress.every((e) => typeof e.value.toolCallId === 'string' && e.value.progress > 0), JSON.stringify(progress));
      assert.equal(view(events).last, 'over');
    });

    for (const provider of ['anthropic', 'openai', 'ollama']) {
      test(`${provider}: a picture reaches the model in its own format`, async () => {
        const r = await g.chat('[tool search_tools {"query":"tiny image"}] [then] [tool get-tiny-image {}] [then] [echo-results]', { model: `${provider}:fake-1` });
        assert.equal(r.state, 'done', JSON.stringify(r));
        assert.match(r.message.content, /<image>/);
        const { counters } = await fake.log(0);
        assert.equal(counters.refused ?? 0, 0, 'a provider refused a request');
      });
    }

    test('calls of one answer run side by side', async () => {
      const begun = Date.now();
      const wait = '[tool wait {"ms":600}]';
      const r = await g.chat(`[tool search_tools {"query":"takes its time"}] [then] ${wait} ${wait} ${wait} ${wait} [then] [echo-results]`);
      assert.equal(r.message.content.match(/waited 600/g).length, 4);
      const [first, ...rest] = recorder.called('wait').slice(-4).map((c) => c.at);
      assert.ok(rest.every((at) => at - first < 500), `they came one after the other: ${rest.map((at) => at - first)} in ${Date.now() - begun} ms`);
    });

    test('cancelling a turn reaches the server', async () => {
      const s = await g.stream('[tool search_tools {"query":"takes its time"}] [then] [tool wait {"ms":60000}]');
      await eventually(() => recorder.called('wait').some((c) => c.arguments.ms === 60000), { everyMs: 10, what: 'the call' });
      await g.post(`/api/turns/${s.turnId}/cancel`);
      await s.all();
      await eventually(() => recorder.called('wait').find((c) => c.arguments.ms === 60000).cancelled, { what: 'the cancellation' });
      assert.equal((await g.turn(s.turnId)).state, 'cancelled');
      assert.deepEqual(recorder.violations, []);
    });

    test('no process outlives the gateway', async () => {
      const mine = () => processes('server-everything').filter((p) => p.ppid === g.program.pid);
      assert.equal(mine().length, 1);
      const [{ pid }] = mine();
      await g.stop();
      await eventually(() => !fs.existsSync(`/proc/${pid}`), { what: 'the end of server-everything' });
      await sleep(50);
      assert.deepEqual(processes(files).filter((p) => p.pid !== process.pid), []);
    });
  });
}
