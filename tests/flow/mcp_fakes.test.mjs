// The fake MCP servers are what they say: an SDK's client gets along with the honest ones, and a
// modern client by hand.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { HOSTILE, McpServer, McpStdio, request, tools } from './harness.mjs';

const list = Object.values(tools);

async function connect(transport) {
  const client = new Client({ name: 'sdk', version: '1' }, { capabilities: { elicitation: {} } });
  await client.connect(transport);
  return client;
}

describe('fake MCP servers', () => {
  let server;
  before(async () => { server = await McpServer.start({ tools: list, pageSize: 4 }); });
  after(() => server.stop());

  test('an SDK client calls tools over HTTP', async () => {
    const client = await connect(new StreamableHTTPClientTransport(new URL(server.url)));
    const first = await client.listTools();
    assert.deepEqual([first.tools.length, first.nextCursor], [4, '4']);
    const r = await client.callTool({ name: 'echo', arguments: { message: 'hi' }, _meta: { key: 'k1' } });
    assert.equal(r.content[0].text, 'echo: hi');
    assert.equal(server.called('echo')[0].meta.key, 'k1');
    const seen = [];
    await client.callTool({ name: 'steps', arguments: { n: 3 } }, undefined, { onprogress: (p) => seen.push(p.progress) });
    assert.deepEqual(seen, [1, 2, 3]);
    const { setRequestHandler } = client;
    const { ElicitRequestSchema } = await import('@modelcontextprotocol/sdk/types.js');
    setRequestHandler.call(client, ElicitRequestSchema, async () => ({ action: 'accept', content: { name: 'Ann' } }));
    assert.equal((await client.callTool({ name: 'ask_name', arguments: {} })).content[0].text, 'hello Ann');
    await client.close();
    assert.deepEqual(server.violations, []);
  });

  test('a modern client by hand', async () => {
    server.clear();
    const meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} };
    const rpc = async (method, params = {}) => {
      const headers = { Accept: 'application/json, text/event-stream', 'MCP-Protocol-Version': '2026-07-28', 'Mcp-Method': method, ...(params.name ? { 'Mcp-Name': params.name } : {}) };
      return (await request(server.url, 'POST', '/mcp', { headers, body: { jsonrpc: '2.0', id: 1, method, params: { _meta: meta, ...params } } })).json;
    };
    assert.deepEqual((await rpc('server/discover')).result.supportedVersions, ['2026-07-28']);
    const asked = (await rpc('tools/call', { name: 'ask_name', arguments: {} })).result;
    assert.equal(asked.resultType, 'input_required');
    const told = (await rpc('tools/call', { name: 'ask_name', arguments: {}, requestState: asked.requestState, inputResponses: { name: { action: 'accept', content: { name: 'Bob' } } } })).result;
    assert.equal(told.content[0].text, 'hello Bob');
    assert.equal(server.executions('ask_name'), 1);
    assert.deepEqual(server.violations, []);
  });

  test('hostility is per method', async () => {
    server.hostile = { 'tools/call': HOSTILE.garbage };
    const client = await connect(new StreamableHTTPClientTransport(new URL(server.url)));
    await client.listTools();
    await assert.rejects(client.callTool({ name: 'echo', arguments: { message: 'hi' } }));
    server.hostile = {};
    await client.close();
  });

  test('an SDK client calls tools over stdio', async () => {
    const stdio = new McpStdio();
    const { command, args } = stdio.definition();
    const client = await connect(new StdioClientTransport({ command, args, stderr: 'ignore' }));
    assert.equal((await client.callTool({ name: 'count', arguments: {} })).content[0].type, 'text');
    await client.close();
    assert.equal(stdio.executions('count'), 1);
    assert.equal(stdio.pids.length, 1);
  });
});
