// The gateway as an MCP server: the official SDK's client, the inspector's command line and mcp-remote talk to /mcp.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { BACKENDS, eachBackend, eventually, fresh, request } from './harness.mjs';

const SHARED = 'shared-key-abcdefghijklmnop';
const module = (path) => fileURLToPath(new URL(`node_modules/${path}`, import.meta.url));

async function connect(g, key, header = 'bearer') {
  const headers = header === 'bearer' ? { Authorization: `Bearer ${key}` } : { 'X-API-Key': key };
  const client = new Client({ name: 'flow', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL('/mcp', g.url), { requestInit: { headers } }));
  return client;
}

const call = (client, name, args = {}, options) => client.callTool({ name, arguments: args }, undefined, options);
const text = (result) => result.content.map((c) => c.text).join('');

eachBackend('the MCP endpoint', (start) => {
  const g = start({ env: { ASSISTANT_API_KEY: SHARED }, key: SHARED });

  test('probe', async () => {
    const c = await connect(g, SHARED);
    console.log(c.getServerVersion(), c.getServerCapabilities(), c.getInstructions());
    console.log(JSON.stringify(await c.listTools()));
    const progress = [];
    console.log(await call(c, 'chat', { message: '[say hello]' }, { onprogress: (p) => progress.push(p) }), progress);
    console.log(await call(c, 'list_threads'));
    console.log(await call(c, 'calculate', { expression: '6*7' }));
    await c.close();
  });
});
