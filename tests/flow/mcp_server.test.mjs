// The MCP server library seen by the official SDK's client, and by clients that mean no good.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema, ElicitRequestSchema, LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema, ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { begin, EventStream, eventually, request, sleep } from './harness.mjs';
import { fixtureEnvironment, McpFixture, MCP_FIXTURE } from './lib/mcp_fixture.mjs';
import { Program } from './lib/programs.mjs';

const text = (result) => result.content.map((c) => c.text).join('\n');

/** What any client of the SDK sees, whatever the transport. */
function sdkTests(connect) {
  let client;
  const heard = [];
  before(async () => {
    client = new Client({ name: 'flow', version: '1' }, { capabilities: { elicitation: {}, sampling: {} } });
    client.setRequestHandler(ElicitRequestSchema, async () => ({ action: 'accept', content: { username: 'ann', email: 'ann@example.org' } }));
    client.setRequestHandler(CreateMessageRequestSchema, async () => ({ role: 'assistant', model: 'm', content: { type: 'text', text: 'sampled' } }));
    for (const schema of [LoggingMessageNotificationSchema, ResourceUpdatedNotificationSchema, ToolListChangedNotificationSchema]) {
      client.setNotificationHandler(schema, (n) => { heard.push(n); });
    }
    await client.connect(connect());
  });
  after(() => client?.close());

  test('it introduces itself', () => {
    assert.equal(client.getServerVersion().name, 'adjutant-conformance');
    assert.equal(client.getInstructions(), 'Everything here is for testing.');
    assert.deepEqual(Object.keys(client.getServerCapabilities()).sort(), ['completions', 'logging', 'prompts', 'resources', 'tools']);
  });

  test('tools are listed and called', async () => {
    const { tools } = await client.listTools();
    assert.ok(tools.length >= 25);
    assert.equal(new Set(tools.map((t) => t.name)).size, tools.length);
    assert.equal(text(await client.callTool({ name: 'test_simple_text' })), 'This is a simple text response for testing.');
    const mixed = await client.callTool({ name: 'test_multiple_content_types' });
    assert.deepEqual(mixed.content.map((c) => c.type), ['text', 'image', 'resource']);
    assert.equal(Buffer.from(mixed.content[1].data, 'base64').subarray(1, 4).toString(), 'PNG');
    assert.equal((await client.callTool({ name: 'test_error_handling' })).isError, true);
    const bad = await client.callTool({ name: 'test_sampling', arguments: { prompt: 7 } });
    assert.equal(bad.isError, true);
    assert.match(text(bad), /arguments\.prompt: must be of type string/);
    await assert.rejects(client.callTool({ name: 'no_such_tool' }), (e) => e.code === -32602);
  });

  test('progress, logs and changes are heard', async () => {
    const progress = [];
    await client.callTool({ name: 'test_tool_with_progress' }, undefined, { onprogress: (p) => progress.push(p.progress) });
    assert.deepEqual(progress, [0, 50, 100]);
    await client.setLoggingLevel('info');
    await client.callTool({ name: 'test_tool_with_logging' });
    assert.equal(heard.filter((n) => n.method === 'notifications/message').length, 3);
    await client.subscribeResource({ uri: 'test://watched-resource' });
    await eventually(async () => { // the stream for it opens beside everything else
      await client.callTool({ name: 'test_update_resource' });
      await client.callTool({ name: 'test_trigger_tool_change' });
      return heard.some((n) => n.method === 'notifications/resources/updated' && n.params.uri === 'test://watched-resource') &&
        heard.some((n) => n.method === 'notifications/tools/list_changed');
    }, { what: 'news' });
  });

  test('the client is asked', async () => {
    assert.match(text(await client.callTool({ name: 'test_elicitation', arguments: { message: 'Who?' } })), /ann@example\.org/);
    assert.equal(text(await client.callTool({ name: 'test_sampling', arguments: { prompt: 'Say' } })), 'LLM response: sampled');
  });

  test('resources, prompts, completion', async () => {
    assert.equal((await client.listResources()).resources.length, 3);
    const read = await client.readResource({ uri: 'test://template/42/data' });
    assert.equal(JSON.parse(read.contents[0].text).id, '42');
    await assert.rejects(client.readResource({ uri: 'test://nowhere' }), (e) => e.code === -32002);
    const prompt = await client.getPrompt({ name: 'test_prompt_with_arguments', arguments: { arg1: 'a "b"', arg2: 'ü' } });
    assert.equal(prompt.messages[0].content.text, 'Prompt with arguments: arg1=\'a "b"\', arg2=\'ü\'');
    const { completion } = await client.complete({ ref: { type: 'ref/prompt', name: 'test_prompt_with_arguments' }, argument: { name: 'arg1', value: 'hel' } });
    assert.deepEqual(completion.values, ['hello', 'help']);
  });

  test('a call is cancelled, and others go on', async () => {
    const abort = new AbortController();
    const waiting = client.callTool({ name: 'test_wait', arguments: { ms: 30000 } }, undefined, { signal: abort.signal });
    const many = Array.from({ length: 20 }, () => client.callTool({ name: 'test_wait', arguments: { ms: 20 } }));
    assert.ok((await Promise.all(many)).every((r) => text(r) === 'done'));
    abort.abort();
    await assert.rejects(waiting);
    assert.equal(text(await client.callTool({ name: 'test_wait', arguments: { ms: 1 } })), 'done');
  });
}

describe('the SDK over HTTP', { concurrency: 1 }, () => {
  let fixture;
  before(async () => { fixture = await McpFixture.start(); });
  after(() => fixture?.stop());
  sdkTests(() => new StreamableHTTPClientTransport(new URL(fixture.url)));

  test('a stream that the server closed is taken up again', async () => {
    const client = new Client({ name: 'flow', version: '1' });
    await client.connect(new StreamableHTTPClientTransport(new URL(fixture.url)));
    assert.match(text(await client.callTool({ name: 'test_reconnection' })), /after the stream was closed/);
    await client.close();
  });
});

describe('the SDK over stdio', { concurrency: 1 }, () => {
  sdkTests(() => new StdioClientTransport({ command: MCP_FIXTURE, args: ['--stdio'], env: fixtureEnvironment(), stderr: 'inherit' }));

  test('only messages on stdout, whatever comes in, and an end with the input', async () => {
    const p = new Program([MCP_FIXTURE], ['--stdio'], fixtureEnvironment(), { stdin: 'pipe' });
    const { stdin, stdout } = p.child;
    let said = '';
    stdout.on('data', (d) => { said += d; });
    stdin.on('error', () => {});
    stdin.write('\u0000\u0001\n[]\n{}\n"x"\n{"jsonrpc":"2.0","id":1}\n' + 'x'.repeat(6_000_000) + '\n' + '['.repeat(100_000) + '\n');
    stdin.write('{"jsonrpc":"2.0","id":"last","method":"ping"}\n');
    await eventually(() => said.includes('"last"'), { what: 'an answer after garbage' });
    stdin.end();
    assert.deepEqual(await p.ended, { code: 0, signal: null });
    for (const line of said.trim().split('\n')) assert.equal(JSON.parse(line).jsonrpc, '2.0');
  });
});

describe('stateless', { concurrency: 1 }, () => {
  let f;
  before(async () => { f = await McpFixture.start(); });
  after(() => f?.stop());
  const ask = { name: 'test_input_required_result_multi_round', arguments: {} };
  const can = { capabilities: { elicitation: {} } };
  const answer = (content) => ({ action: 'accept', content });

  test('two rounds of questions; a state works once for its request only', async () => {
    const one = (await f.call('tools/call', ask, can)).json.result;
    assert.equal(one.resultType, 'input_required');
    assert.deepEqual(Object.keys(one.inputRequests), ['step1']);
    const two = (await f.call('tools/call', { ...ask, requestState: one.requestState, inputResponses: { step1: answer({ name: 'Ann' }) } }, can)).json.result;
    assert.deepEqual(Object.keys(two.inputRequests), ['step2']);
    const three = (await f.call('tools/call', { ...ask, requestState: two.requestState, inputResponses: { step2: answer({ color: 'red' }) } }, can)).json.result;
    assert.equal(three.resultType, 'complete');
    assert.equal(text(three), 'Ann likes red');
    const foreign = await f.call('tools/call', { ...ask, requestState: two.requestState, inputResponses: {} }, { ...can, headers: { 'X-Test-User': 'eve' } });
    assert.equal(foreign.json.error.code, -32602);
    const other = await f.call('tools/call', { name: 'test_input_required_result_elicitation', requestState: two.requestState }, can);
    assert.equal(other.json.error.code, -32602);
  });

  test('news come on a subscription, and only those that were wanted', async () => {
    const [body, headers] = f.modern('subscriptions/listen', { notifications: { toolsListChanged: true } }, { id: 'sub' });
    const stream = await EventStream.open(f.base, 'POST', '/mcp', { headers, body });
    const [first] = await stream.until((events) => events.length);
    assert.equal(first.json.method, 'notifications/subscriptions/acknowledged');
    await f.call('tools/call', { name: 'test_trigger_prompt_change' });
    await f.call('tools/call', { name: 'test_trigger_tool_change' });
    const news = (await stream.until((events) => events.length > 1))[1].json;
    assert.equal(news.method, 'notifications/tools/list_changed');
    assert.equal(news.params._meta['io.modelcontextprotocol/subscriptionId'], 'sub');
    stream.close();
  });

  test('what mirrors the message must be what the message says', async () => {
    const call = { name: 'test_custom_header', arguments: { region: 'Zürich' } };
    assert.equal((await f.call('tools/call', call)).json.error.code, -32020);
    const encoded = `=?base64?${Buffer.from('Zürich').toString('base64')}?=`;
    const good = await f.call('tools/call', call, { headers: { 'Mcp-Param-Region': encoded } });
    assert.equal(text(good.json.result), 'The region is Zürich.');
    const lie = await f.call('tools/call', call, { headers: { 'Mcp-Param-Region': 'Bern' } });
    assert.equal(lie.status, 400);
  });
});

describe('clients that mean no good', { concurrency: 1 }, () => {
  let f;
  before(async () => { f = await McpFixture.start(['--sessions-per-user', '50', '--calls-per-user', '20', '--heartbeat-ms', '50']); });
  after(() => f?.stop());

  async function works() {
    assert.equal(text((await f.call('tools/call', { name: 'test_simple_text' })).json.result), 'This is a simple text response for testing.');
  }

  /** Memory may grow to a bound, not with the number of what comes. */
  async function staysFlat(round, boundKib) {
    await round();
    const first = f.residentKib;
    for (let i = 0; i < 3; i++) await round();
    assert.ok(f.residentKib - first < boundKib, `grew from ${first} to ${f.residentKib} KiB`);
    await works();
  }

  test('ten thousand sessions', { timeout: 240_000 }, async () => {
    let n = 0;
    const first = await f.initialize();
    await staysFlat(async () => {
      for (let i = 0; i < 2500; i += 25) {
        await Promise.all(Array.from({ length: 25 }, () => f.initialize({ 'X-Test-User': `user-${n++ % 4}` })));
      }
    }, 40_000);
    const r = await f.post({ jsonrpc: '2.0', id: 1, method: 'ping' }, { 'Mcp-Session-Id': first });
    assert.equal(r.status, 200, 'others lose no session');
  });

  test('huge bodies', async () => {
    const body = Buffer.alloc(7 << 20, ' ');
    await staysFlat(async () => {
      for (let i = 0; i < 5; i++) {
        const r = await request(f.base, 'POST', '/mcp', { body, headers: { Accept: '*/*' } }).catch((e) => e);
        assert.ok(r.status === 413 || r.code === 'EPIPE' || r.code === 'ECONNRESET', `${r.status ?? r}`);
      }
    }, 40_000);
  });

  test('deep, broken and batched messages', async () => {
    const bad = [['[]', -32600], ['[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600], ['{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600],
      ['{"jsonrpc":"2.0","id":1,"method":7}', -32600], ['{"jsonrpc":"2.0","id":1,"method":"ping"', -32700], ['\u0000', -32700],
      [`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${'['.repeat(5000)}${']'.repeat(5000)}}`, -32700],
      [`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"a":${'{"a":'.repeat(100)}1${'}'.repeat(100)}}}`, -32700]];
    for (const [body, code] of bad) {
      const r = await f.post(body);
      assert.equal(r.status, 400, body.slice(0, 60));
      assert.equal(r.json.error.code, code, body.slice(0, 60));
    }
    await works();
  });

  test('a session of somebody else', async () => {
    const session = await f.initialize({ 'X-Test-User': 'ann' });
    const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
    for (const user of ['eve', 'an', 'ANN']) {
      const headers = { 'X-Test-User': user, 'Mcp-Session-Id': session };
      assert.equal((await f.post(ping, headers)).status, 404);
      assert.equal((await request(f.base, 'GET', '/mcp', { headers: { ...headers, Accept: 'text/event-stream' } })).status, 404);
      assert.equal((await request(f.base, 'DELETE', '/mcp', { headers })).status, 404);
    }
    assert.equal((await f.post(ping, { 'X-Test-User': 'ann', 'Mcp-Session-Id': session })).status, 200);
  });

  test('other hosts and origins', async () => {
    for (const headers of [{ Host: 'evil.example' }, { Origin: 'http://evil.example' }, { Origin: 'null' }, { Origin: 'http://localhost.evil.example' }]) {
      assert.equal((await f.post({ jsonrpc: '2.0', id: 1, method: 'ping' }, headers)).status, 403, JSON.stringify(headers));
    }
  });

  test('more calls at a time than one may have', async () => {
    const calls = await Promise.all(Array.from({ length: 40 }, (_, i) => f.call('tools/call', { name: 'test_wait', arguments: { ms: 300 } }, { id: i })));
    const refused = calls.filter((r) => r.status === 429).length;
    assert.equal(calls.length - refused, 20);
    await works();
  });

  test('calls that are begun and left', async () => {
    await staysFlat(async () => {
      for (let i = 0; i < 200; i++) {
        const [body, headers] = f.modern('tools/call', { name: 'test_wait', arguments: { ms: 60000 } });
        const abort = new AbortController();
        begin(f.base, 'POST', '/mcp', { body, headers, signal: abort.signal }).catch(() => {});
        await sleep(2);
        abort.abort();
      }
    }, 40_000);
  });

  test('readers that do not read', async () => {
    const sockets = [];
    const [body, headers] = f.modern('tools/list');
    const bytes = JSON.stringify(body);
    const fields = Object.entries({ Host: 'localhost', 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(bytes), ...headers });
    const one = `POST /mcp HTTP/1.1\r\n${fields.map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n${bytes}`;
    await staysFlat(async () => {
      for (let i = 0; i < 10; i++) { // each wants some MiB and takes nothing of it
        const socket = net.connect(Number(new URL(f.base).port), '127.0.0.1');
        socket.on('error', () => {});
        socket.pause();
        socket.write(one.repeat(500));
        sockets.push(socket);
      }
      await sleep(300);
    }, 40_000);
    for (const s of sockets) s.destroy();
    await works();
  });

  test('a stream of news that is opened again and again', async () => {
    const session = await f.initialize({}, { revision: '2025-06-18' });
    const get = { headers: { Accept: 'text/event-stream', 'Mcp-Session-Id': session } };
    const streams = [];
    for (let i = 0; i < 60; i++) streams.push(await EventStream.open(f.base, 'GET', '/mcp', get).catch((e) => e));
    await streams[0].until(() => streams[0].ended); // the newest has it
    const last = streams.findLast((s) => s instanceof EventStream);
    await f.call('tools/call', { name: 'test_trigger_tool_change' });
    await last.until((events) => events.some((e) => e.json?.method === 'notifications/tools/list_changed'));
    last.close();
    await works();
  });
});
