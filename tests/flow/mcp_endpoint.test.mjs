// The gateway as an MCP server: the official SDK's client, the inspector's command line and mcp-remote talk to /mcp.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Adjutant, BACKENDS, begin, eachBackend, EFFECTS, eventually, Fake, fresh, McpServer, request, tools } from './harness.mjs';

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


const MODERN = '2026-07-28';

/** One request of the stateless revision: {response, rpc} of /mcp. */
async function modern(g, key, method, params = {}) {
  const r = await request(g.url, 'POST', '/mcp', {
    headers: {
      Authorization: `Bearer ${key}`, Accept: 'application/json, text/event-stream', 'MCP-Protocol-Version': MODERN, 'Mcp-Method': method,
      ...(params.name ? { 'Mcp-Name': params.name } : {}),
    },
    body: {
      jsonrpc: '2.0', id: 1, method,
      params: { ...params, _meta: { 'io.modelcontextprotocol/protocolVersion': MODERN, 'io.modelcontextprotocol/clientCapabilities': {} } },
    },
  });
  const json = r.json ?? JSON.parse(r.text.split('\n').filter((l) => l.startsWith('data: ')).at(-1).slice(6));
  return { response: r, rpc: json };
}

eachBackend('the MCP endpoint', (start) => {
  const g = start({ env: { ASSISTANT_API_KEY: SHARED }, key: SHARED });
  async function user() {
    const r = await g.post('/api/admin/keys', { user_id: fresh('user'), allow_operator_llm: true });
    return { key: r.json.key, hash: r.json.hash, headers: { 'X-API-Key': r.json.key } };
  }

  test('a key is needed, as bearer or X-API-Key', async () => {
    const init = { jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } } };
    const post = (headers) => request(g.url, 'POST', '/mcp', { headers: { Accept: 'application/json, text/event-stream', ...headers }, body: init });
    const none = await post({});
    assert.equal(none.status, 401);
    assert.match(none.headers['www-authenticate'], /^Bearer/);
    const wrong = await post({ Authorization: 'Bearer adj_nonsense' });
    assert.equal(wrong.status, 401);
    assert.match(wrong.headers['www-authenticate'], /error="invalid_token"/);
    for (const method of ['GET', 'DELETE']) assert.equal((await request(g.url, method, '/mcp')).status, 401, method);
    const login = await request(g.url, 'POST', '/api/login', { body: { key: SHARED } });
    assert.equal((await post({ Cookie: login.headers['set-cookie'][0].split(';')[0], Origin: g.url })).status, 401, 'a cookie is no key');
    assert.equal((await post({ Authorization: `Bearer ${SHARED}` })).status, 200);
    assert.equal((await post({ 'X-API-Key': SHARED })).status, 200);
    const ann = await user();
    const client = await connect(g, ann.key);
    await g.post(`/api/admin/keys/${ann.hash}/revoke`);
    await assert.rejects(client.listTools(), /401|authentication/i);
  });

  test('pages of other sites are refused, those on this machine are not', async () => {
    const ask = (method, headers) => request(g.url, method, '/mcp', { headers });
    const preflight = { 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'authorization' };
    assert.equal((await ask('OPTIONS', { Origin: 'https://evil.example', ...preflight })).status, 403);
    const local = await ask('OPTIONS', { Origin: 'http://localhost:6274', ...preflight });
    assert.equal(local.status, 204);
    assert.equal(local.headers['access-control-allow-origin'], 'http://localhost:6274');
    assert.match(local.headers['access-control-allow-headers'], /authorization/);
    assert.equal((await ask('GET', { Origin: 'https://evil.example', Authorization: `Bearer ${SHARED}` })).status, 403);
  });

  test('the tools are those of the assistant, and the built-in ones', async () => {
    const c = await connect(g, (await user()).key, 'X-API-Key');
    const { tools } = await c.listTools();
    const names = tools.map((t) => t.name);
    for (const name of ['chat', 'list_threads', 'get_thread', 'current_time', 'calculate']) assert.ok(names.includes(name), name);
    assert.equal(text(await call(c, 'calculate', { expression: '6*7' })), '42');
    assert.match(text(await call(c, 'current_time', { time_zone: 'Europe/Berlin' })), /^2\d{3}-/);
    const wrong = await call(c, 'calculate', { expression: '6*' });
    assert.equal(wrong.isError, true);
    await c.close();
  });

  test('a conversation goes on, and is listed and read', async () => {
    const c = await connect(g, (await user()).key);
    const first = await call(c, 'chat', { message: 'one [say uno]' });
    assert.equal(text(first), 'uno');
    const { thread_id, turn_id, state, answer } = first.structuredContent;
    assert.deepEqual([state, answer], ['done', 'uno']);
    const second = await call(c, 'chat', { message: '[echo-messages]', thread_id });
    assert.match(text(second), /^3 messages/);
    const { threads } = (await call(c, 'list_threads')).structuredContent;
    assert.deepEqual(threads.map((t) => [t.thread_id, t.message_count]), [[thread_id, 4]]);
    const thread = (await call(c, 'get_thread', { thread_id })).structuredContent;
    assert.deepEqual(thread.messages.map((m) => m.role), ['user', 'assistant', 'user', 'assistant']);
    assert.deepEqual([thread.messages[0].text, thread.messages[1].text, thread.messages[1].turn_id], ['one [say uno]', 'uno', turn_id]);
    const page = (await call(c, 'get_thread', { thread_id, limit: 2, before: 4 })).structuredContent;
    assert.deepEqual([page.messages.map((m) => m.seq), page.has_more], [[2, 3], true]);
    const { resourceTemplates } = await c.listResourceTemplates();
    assert.deepEqual(resourceTemplates.map((t) => t.uriTemplate), ['adjutant://threads/{thread_id}']);
    const read = await c.readResource({ uri: `adjutant://threads/${thread_id}` });
    assert.equal(JSON.parse(read.contents[0].text).messages.length, 4);
    await assert.rejects(c.readResource({ uri: 'adjutant://threads/none' }), /not found/);
    for (let i = 0; i < 3; i++) await call(c, 'chat', { message: '[say x]' });
    const pages = [];
    for (let cursor; ;) {
      const p = (await call(c, 'list_threads', { limit: 3, ...(cursor ? { cursor } : {}) })).structuredContent;
      pages.push(p.threads.length);
      cursor = p.next_cursor;
      if (!cursor) break;
    }
    assert.deepEqual(pages, [3, 1]);
    await c.close();
  });

  test('what makes no sense is an error that the model can read', async () => {
    const c = await connect(g, (await user()).key);
    for (const [name, args, pattern] of [
      ['chat', { message: '' }, /message/], ['chat', {}, /message/], ['chat', { message: 'x', thread_id: 'a b' }, /thread_id/], ['get_thread', { thread_id: 'none' }, /no such thread/],
      ['get_thread', {}, /thread_id/], ['list_threads', { cursor: 'x' }, /cursor/], ['chat', { message: '[status 400]' }, /./],
    ]) {
      const r = await call(c, name, args);
      assert.equal(r.isError, true, `${name} ${JSON.stringify(args)}: ${text(r)}`);
      assert.match(text(r), pattern);
    }
    const failed = await call(c, 'chat', { message: '[status 400]' });
    assert.equal(failed.structuredContent.state, 'failed');
    await c.close();
  });

  test('who may not use the operator\'s models is told so', async () => {
    const r = await g.post('/api/admin/keys', { user_id: fresh('poor') });
    const c = await connect(g, r.json.key);
    const answer = await call(c, 'chat', { message: 'hello' });
    assert.equal(answer.isError, true);
    assert.match(text(answer), /No LLM key configured/);
    await c.close();
  });

  test('progress tells the text so far and the tools', async () => {
    const c = await connect(g, (await user()).key);
    const told = [];
    const r = await call(c, 'chat', { message: '[tool calculate {"expression":"2+3"}] [then] [tokens 60] [delay 30]' }, { onprogress: (p) => told.push(p) });
    assert.equal(r.structuredContent.state, 'done');
    assert.ok(told.some((p) => p.message === 'calls calculate'), JSON.stringify(told));
    for (let i = 1; i < told.length; i++) assert.ok(told[i].progress > told[i - 1].progress);
    const texts = told.filter((p) => r.structuredContent.answer.startsWith(p.message)).map((p) => p.message);
    assert.ok(texts.length >= 2, JSON.stringify(told));
    for (let i = 1; i < texts.length; i++) assert.ok(texts[i].startsWith(texts[i - 1]));
    await c.close();
  });

  test('cancelling the call cancels the turn', async () => {
    const ann = await user();
    const c = await connect(g, ann.key);
    const turn_id = fresh('turn'), abort = new AbortController();
    const done = call(c, 'chat', { message: '[tokens 2000] [delay 50]', turn_id }, { signal: abort.signal }).catch((e) => e);
    await eventually(async () => (await g.get(`/api/turns/${turn_id}`, { headers: ann.headers })).json.state === 'running', { what: 'the turn' });
    abort.abort();
    assert.ok(await done instanceof Error);
    await eventually(async () => (await g.get(`/api/turns/${turn_id}`, { headers: ann.headers })).json.state === 'cancelled', { what: 'the end of the turn' });
    await c.close();
  });

  test('the stateless revision, too: an answer, and an end with the stream', async () => {
    const ann = await user();
    const discover = (await modern(g, ann.key, 'server/discover')).rpc.result;
    assert.ok(discover.supportedVersions.includes(MODERN));
    const r = (await modern(g, ann.key, 'tools/call', { name: 'chat', arguments: { message: '[say hi]' } })).rpc.result;
    assert.deepEqual([r.resultType, r.structuredContent.answer], ['complete', 'hi']);
    const turn_id = fresh('turn'), abort = new AbortController();
    const broken = fetch(`${g.url}/mcp`, {
      method: 'POST', signal: abort.signal,
      headers: { ...ann.headers, 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream', 'MCP-Protocol-Version': MODERN, 'Mcp-Method': 'tools/call', 'Mcp-Name': 'chat' },
      body: JSON.stringify({
        jsonrpc: '2.0', id: 2, method: 'tools/call',
        params: { name: 'chat', arguments: { message: '[tokens 2000] [delay 50]', turn_id }, _meta: { 'io.modelcontextprotocol/protocolVersion': MODERN, 'io.modelcontextprotocol/clientCapabilities': {} } },
      }),
    }).then((x) => x.text()).catch((e) => e);
    const state = async () => (await g.get(`/api/turns/${turn_id}`, { headers: ann.headers })).json.state;
    await eventually(async () => await state() === 'running', { what: 'the turn' });
    abort.abort();
    await broken;
    await eventually(async () => await state() === 'cancelled', { what: 'the end of the turn' });
  });

  test('two users never meet', async () => {
    const [ann, bob] = [await user(), await user()];
    const [hers, his] = [await connect(g, ann.key), await connect(g, bob.key)];
    const [thread_id, turn_id] = [fresh('shared-name'), fresh('shared-turn')];
    assert.equal(text(await call(hers, 'chat', { message: 'ANNS-SECRET [say noted]', thread_id, turn_id })), 'noted');
    assert.deepEqual((await call(his, 'list_threads')).structuredContent.threads, []);
    const thread = await call(his, 'get_thread', { thread_id });
    assert.equal(thread.isError, true);
    assert.ok(!JSON.stringify(thread).includes('ANNS-SECRET'));
    await assert.rejects(his.readResource({ uri: `adjutant://threads/${thread_id}` }), /not found/);
    assert.match(text(await call(his, 'chat', { message: '[echo-messages]', thread_id, turn_id })), /^1 messages/, 'the same names are other things');
    assert.equal((await call(hers, 'get_thread', { thread_id })).structuredContent.messages.length, 2);

    const stolen = hers.transport.sessionId;
    const r = await request(g.url, 'POST', '/mcp', {
      headers: { ...bob.headers, Accept: 'application/json, text/event-stream', 'Mcp-Session-Id': stolen, 'MCP-Protocol-Version': '2025-11-25' },
      body: { jsonrpc: '2.0', id: 9, method: 'tools/list' },
    });
    assert.equal(r.status, 404, 'a session is its user\'s');
    await Promise.all([hers.close(), his.close()]);
  });

  test('the inspector\'s command line', async () => {
    const { key } = await user();
    const inspect = async (...args) => JSON.parse((await promisify(execFile)(process.execPath, [
      module('@modelcontextprotocol/inspector/cli/build/cli.js'), '--cli', `${g.url}/mcp`, '--transport', 'http', '--header', `X-API-Key: ${key}`, ...args,
    ], { timeout: 60_000 })).stdout);
    assert.ok((await inspect('--method', 'tools/list')).tools.some((t) => t.name === 'chat'));
    const r = await inspect('--method', 'tools/call', '--tool-name', 'chat', '--tool-arg', 'message=[say inspected]');
    assert.equal(text(r), 'inspected');
    assert.deepEqual((await inspect('--method', 'resources/templates/list')).resourceTemplates.length, 1);
  });

  test('mcp-remote, for clients that only start programs', async () => {
    const { key } = await user();
    const transport = new StdioClientTransport({
      command: process.execPath, stderr: 'ignore',
      args: [module('mcp-remote/dist/proxy.js'), `${g.url}/mcp`, '--allow-http', '--transport', 'http-only', '--header', 'Authorization:${AUTH}'],
      env: { PATH: process.env.PATH, HOME: process.env.HOME ?? '/tmp', MCP_REMOTE_CONFIG_DIR: g.dir, AUTH: `Bearer ${key}` },
    });
    const c = new Client({ name: 'flow', version: '1' });
    await c.connect(transport, { timeout: 30_000 });
    const told = [];
    const r = await call(c, 'chat', { message: '[tokens 40] [delay 30]' }, { onprogress: (p) => told.push(p) });
    assert.equal(r.structuredContent.state, 'done');
    assert.ok(told.length >= 2);
    await c.close();
  });
});

eachBackend('approvals at the MCP endpoint', (start) => {
  let server;
  before(async () => { server = await McpServer.start({ tools: [tools.erase, tools.echo] }); });
  after(() => server.stop());
  const g = start({ env: { ASSISTANT_API_KEY: SHARED }, key: SHARED, mcp: () => ({ disk: server.definition() }) });
  const erase = (file) => `[tool erase {"path":"${file}"}] [then] [echo-results]`;
  const erased = (file) => (server.erased ?? []).filter((p) => p === file).length;
  async function asked(c, file) {
    const r = await call(c, 'chat', { message: erase(file) });
    assert.equal(r.structuredContent.state, 'interrupted', text(r));
    return { ...r.structuredContent, text: text(r), id: r.structuredContent.interrupts[0].id };
  }

  test('the question names itself and how to answer it; an answer goes on', async () => {
    const c = await connect(g, SHARED);
    await eventually(async () => /echo: a/.test(text(await call(c, 'chat', { message: '[tool echo {"message":"a"}] [then] [echo-results]' }))), { what: 'the tools' });
    const q = await asked(c, '/approved');
    assert.match(q.text, /erase/);
    assert.match(q.text, /approve [A-Z0-9]+/);
    assert.match(q.text, /answer_approval/);
    const listed = (await call(c, 'list_approvals', { thread_id: q.thread_id })).structuredContent.approvals;
    assert.deepEqual(listed.map((a) => [a.id, a.turn_id]), [[q.id, q.turn_id]]);
    assert.deepEqual(listed[0].interrupt.metadata.arguments, { path: '/approved' });
    assert.equal(erased('/approved'), 0);
    const r = await call(c, 'answer_approval', { id: q.id, approved: true });
    assert.deepEqual([r.structuredContent.state, r.structuredContent.thread_id], ['done', q.thread_id], text(r));
    assert.match(text(r), /erased \/approved/);
    assert.equal(erased('/approved'), 1);
    assert.deepEqual((await call(c, 'list_approvals')).structuredContent.approvals, []);
    const again = await call(c, 'answer_approval', { id: q.id, approved: true });
    assert.equal(again.isError, true);
    assert.match(text(again), /answered/);
    assert.equal(erased('/approved'), 1);
    await c.close();
  });

  test('denied, and answered in words', async () => {
    const c = await connect(g, SHARED);
    const denied = await asked(c, '/denied');
    const r = await call(c, 'answer_approval', { id: denied.id, approved: false, reason: 'keep it' });
    assert.match(text(r), /keep it/);
    const words = await asked(c, '/words');
    const code = /approve ([A-Z0-9]+)/.exec(words.text)[1];
    const approved = await call(c, 'chat', { message: `approve ${code}`, thread_id: words.thread_id });
    assert.match(text(approved), /erased \/words/);
    assert.deepEqual([erased('/denied'), erased('/words')], [0, 1]);
    await c.close();
  });

  test('what makes no sense is refused, and so is another user\'s answer', async () => {
    const c = await connect(g, SHARED);
    const q = await asked(c, '/mine');
    for (const [args, pattern] of [[{ id: q.id }, /approved/], [{ approved: true }, /id/], [{ id: 'none', approved: true }, /no such|not found/i], [{ id: q.id, approved: true, content: {} }, /content/]]) {
      const r = await call(c, 'answer_approval', args);
      assert.equal(r.isError, true, JSON.stringify(args));
      assert.match(text(r), pattern);
    }
    const key = (await g.post('/api/admin/keys', { user_id: fresh('bob'), allow_operator_llm: true })).json.key;
    const bob = await connect(g, key);
    assert.deepEqual((await call(bob, 'list_approvals')).structuredContent.approvals, []);
    assert.equal((await call(bob, 'answer_approval', { id: q.id, approved: true })).isError, true);
    assert.equal(erased('/mine'), 0);
    await Promise.all([c.close(), bob.close()]);
  });
});

eachBackend('the MCP endpoint of a gateway that dies', (start) => {
  const g = start({ env: { ASSISTANT_API_KEY: SHARED, ADJUTANT_LEASE_MS: '2000' }, key: SHARED });

  for (const [how, end] of [['killed', () => g.kill()], ['stopped', () => g.stop()]]) {
    test(`${how} in mid-chat: the same turn_id gives the answer, and nothing is said twice`, async () => {
      const c = await connect(g, SHARED);
      const [thread_id, turn_id] = [fresh('thread'), fresh('turn')];
      const args = { message: '[tokens 40] [delay 100]', thread_id, turn_id };
      const told = [];
      const broken = call(c, 'chat', args, { onprogress: (p) => told.push(p), timeout: 5_000 }).catch((e) => e);
      await eventually(() => told.length >= 3, { what: 'some text' });
      await end();
      const lost = await broken;
      assert.ok(lost instanceof Error || lost.isError, 'the client is told');
      await c.close().catch(() => {});
      await g.begin();
      const again = await connect(g, SHARED);
      const r = await call(again, 'chat', args);
      assert.equal(r.structuredContent.state, 'done', text(r));
      assert.deepEqual([r.structuredContent.thread_id, r.structuredContent.turn_id], [thread_id, turn_id]);
      assert.equal(text(r).trim().split(/\s+/).length, 40);
      const thread = (await call(again, 'get_thread', { thread_id })).structuredContent;
      assert.deepEqual(thread.messages.map((m) => m.role), ['user', 'assistant']);
      await again.close();
    });
  }
});

describe('the MCP endpoint of an open instance', { skip: !BACKENDS.includes('sqlite') }, () => {
  test('asks for no key, and answers its own machine only', async () => {
    const fake = await Fake.start();
    const g = await Adjutant.start({ backend: 'sqlite', fake });
    try {
      const c = new Client({ name: 'flow', version: '1' });
      await c.connect(new StreamableHTTPClientTransport(new URL('/mcp', g.url)));
      assert.equal(text(await call(c, 'chat', { message: '[say open]' })), 'open');
      await c.close();
      const post = (headers) => request(g.url, 'POST', '/mcp', { headers: { Accept: 'application/json, text/event-stream', ...headers }, body: { jsonrpc: '2.0', id: 1, method: 'tools/list' } });
      for (const headers of [{ Origin: 'https://evil.example' }, { Origin: 'http://localhost:3000' }, { Host: 'evil.example' }]) {
        assert.equal((await post(headers)).status, 403, JSON.stringify(headers));
      }
    } finally {
      await g.stop();
      await fake.stop();
    }
  });

  test('tools that change something are not offered past the assistant', async () => {
    const fake = await Fake.start();
    const g = await Adjutant.start({ backend: 'sqlite', fake, program: EFFECTS });
    try {
      const c = new Client({ name: 'flow', version: '1' });
      await c.connect(new StreamableHTTPClientTransport(new URL('/mcp', g.url)));
      const { tools } = await c.listTools();
      const builtin = tools.filter((t) => !['chat', 'list_threads', 'get_thread', 'list_approvals', 'answer_approval'].includes(t.name));
      assert.ok(builtin.every((t) => t.annotations.readOnlyHint), JSON.stringify(builtin.map((t) => t.name)));
      await c.close();
    } finally {
      await g.stop();
      await fake.stop();
    }
  });
});
