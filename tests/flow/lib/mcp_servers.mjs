// MCP servers that a test makes up, over real sockets and with the wire format written by hand, so
// that they can record all they see and misbehave at will.
//
//   const server = await McpServer.start({ tools: [tools.echo, tools.count] });
//   start({ mcp: { notes: server.definition() } });       a gateway whose mcp.json names it
//   server.executions('count')                            how often it was really called
//
// An honest server speaks both eras unless told otherwise, and notes what a client does against
// the rules in `violations`. `hostile` maps a method ("tools/call", or "*") to a way to answer it.
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { HOSTILE } from './mcp_hostile.mjs';
import { freePort, scratch } from './programs.mjs';

export { HOSTILE };
export { tools } from './mcp_tools.mjs';
export const MODERN = '2026-07-28';
const LEGACY = ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'];
const META = 'io.modelcontextprotocol/';

class InputRequired extends Error {
  constructor(requests, state) {
    super('input required');
    this.result = { resultType: 'input_required', inputRequests: requests, requestState: state };
  }
}

export class McpServer {
  /** era: 'modern', 'legacy' or 'both'; stream: answer by SSE always; pageSize: of tools/list;
   * authorize(headers): false refuses with 401; hostile: see HOSTILE. */
  static async start(options = {}) {
    const s = new McpServer();
    Object.assign(s, { name: 'test', era: 'both', tools: [], stream: false, pageSize: 1000, hostile: {}, path: '/mcp', ...options });
    s.port = options.port ?? await freePort();
    s.clear();
    s.sessions = new Map(); // id -> { stream }
    s.asked = new Map(); // id of our own request -> resolve
    await s.begin();
    return s;
  }

  async begin() {
    this.http = http.createServer((req, res) => this.#serve(req, res).catch((e) => {
      if (!res.destroyed) this.violations.push(`the fake server failed: ${e.stack}`);
      res.destroy();
    }));
    this.http.keepAliveTimeout = 60_000;
    await new Promise((resolve, reject) => this.http.on('error', reject).listen(this.port, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${this.port}${this.path}`;
  }

  /** Forgets what was recorded. */
  clear() {
    this.requests = []; // { method, path, headers, session, rpc }
    this.calls = []; // { tool, arguments, meta, headers, session, outcome, cancelled }
    this.violations = [];
    this.sent = 0; // bytes of hostile answers
  }

  async stop() {
    this.http.closeAllConnections();
    await new Promise((resolve) => this.http.close(resolve));
  }

  /** Its entry in mcp.json. */
  definition(more = {}) {
    return { url: this.url, ...more };
  }

  called(tool) {
    return this.calls.filter((c) => c.tool === tool);
  }

  /** How often a tool was set to work; a call that only asked for input first is none. */
  executions(tool) {
    return this.called(tool).filter((c) => c.outcome !== 'input_required').length;
  }

  /** Requests of one method of the protocol. */
  received(method) {
    return this.requests.filter((r) => r.rpc?.method === method);
  }

  loseSessions() {
    this.sessions.clear();
  }

  changeTools(list) {
    this.tools = list;
    for (const { stream } of this.sessions.values()) {
      stream?.write(frame({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' }));
    }
    for (const { res, id } of this.listeners ?? []) {
      res.write(frame({ jsonrpc: '2.0', method: 'notifications/tools/list_changed', params: { _meta: { [`${META}subscriptionId`]: id } } }));
    }
  }

  // ---- one HTTP request ----

  async #serve(req, res) {
    const chunks = [];
    for await (const chunk of req) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString('utf8');
    const record = { method: req.method, path: req.url, headers: req.headers, session: req.headers['mcp-session-id'], text, at: Date.now() };
    try { record.rpc = text ? JSON.parse(text) : undefined; } catch { this.violations.push(`not JSON: ${text.slice(0, 200)}`); }
    this.requests.push(record);

    const hostile = this.hostile[record.rpc?.method ?? req.method] ?? this.hostile['*'];
    if (hostile && req.method !== 'HEAD' && await hostile({ req, res, rpc: record.rpc, record, server: this }) !== false) return;
    if (this.authorize && !this.authorize(req.headers)) {
      respond(res, 401, { error: 'unauthorized' }, { 'WWW-Authenticate': 'Bearer realm="test"' });
    } else if (req.method === 'POST') {
      await this.#post(record, res);
    } else if (req.method === 'GET' && this.era !== 'modern' && this.sessions.has(record.session)) {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      res.write(': open\n\n');
      this.sessions.get(record.session).stream = res;
    } else if (req.method === 'DELETE' && this.sessions.delete(record.session)) {
      res.writeHead(200).end();
    } else {
      res.writeHead(405, { Allow: 'POST' }).end();
    }
  }

  async #post(record, res) {
    const { rpc, headers } = record;
    if (!/application\/json/.test(headers.accept ?? '') || !/text\/event-stream/.test(headers.accept ?? '')) {
      this.violations.push(`Accept: ${headers.accept}`);
    }
    if (!/^application\/json/.test(headers['content-type'] ?? '')) this.violations.push(`Content-Type: ${headers['content-type']}`);
    if (rpc.method === undefined) { // an answer to a request of ours
      this.asked.get(rpc.id)?.(rpc);
      res.writeHead(202).end();
      return;
    }
    const version = rpc.params?._meta?.[`${META}protocolVersion`];
    if (version === undefined || this.era === 'legacy') await this.#legacy(record, res);
    else await this.#modern(record, res, version);
  }

  async #modern(record, res, version) {
    const { rpc, headers } = record;
    if (version !== MODERN) {
      problem(res, 400, rpc.id, -32022, 'Unsupported protocol version', { supported: [MODERN], requested: version });
      return;
    }
    if (headers['mcp-protocol-version'] !== version || headers['mcp-method'] !== rpc.method
      || (rpc.method === 'tools/call' && headers['mcp-name'] !== rpc.params.name)) {
      this.violations.push(`headers of ${rpc.method}: ${headers['mcp-protocol-version']} ${headers['mcp-method']} ${headers['mcp-name']}`);
      problem(res, 400, rpc.id, -32020, 'Header mismatch');
      return;
    }
    if (!rpc.params._meta[`${META}clientCapabilities`]) this.violations.push(`${rpc.method} without clientCapabilities`);
    if (record.session) this.violations.push('a session on a modern request');
    if (rpc.id === undefined) {
      res.writeHead(202).end();
      return;
    }
    await this.#answer(record, res, true);
  }

  async #legacy(record, res) {
    const { rpc, session } = record;
    if (this.era === 'modern') {
      problem(res, 400, rpc.id ?? null, -32602, 'Missing required _meta');
    } else if (rpc.method === 'initialize') {
      const id = randomUUID();
      this.sessions.set(id, {});
      const wanted = rpc.params.protocolVersion;
      const protocolVersion = LEGACY.includes(wanted) ? wanted : LEGACY.at(-1);
      respond(res, 200, { jsonrpc: '2.0', id: rpc.id, result: { protocolVersion, capabilities: { tools: { listChanged: true } }, serverInfo: this.#info() } },
        { 'Mcp-Session-Id': id });
    } else if (!session) {
      problem(res, 400, null, -32000, 'Bad Request: Server not initialized');
    } else if (!this.sessions.has(session)) {
      problem(res, 404, null, -32001, 'Session not found');
    } else if (rpc.id === undefined) {
      if (rpc.method === 'notifications/cancelled') this.#cancelled(rpc.params.requestId, session);
      res.writeHead(202).end();
    } else {
      await this.#answer(record, res, false);
    }
  }

  #info() {
    return { name: this.name, version: '1.0.0' };
  }

  #cancelled(requestId, session) {
    for (const c of this.calls) {
      if (c.id === requestId && c.session === session && c.outcome === undefined) c.cancel();
    }
  }

  // ---- methods ----

  async #answer(record, res, modern) {
    const { rpc } = record;
    const cached = modern ? { resultType: 'complete', ttlMs: this.ttlMs ?? 300_000, cacheScope: 'private' } : {};
    const io = new Exchange(res, rpc, modern, this);
    switch (rpc.method) {
      case 'server/discover':
        io.result({ ...cached, supportedVersions: [MODERN], capabilities: { tools: { listChanged: true } }, _meta: { [`${META}serverInfo`]: this.#info() } });
        break;
      case 'ping': io.result({}); break;
      case 'tools/list': io.result({ ...cached, ...this.#list(rpc.params?.cursor) }); break;
      case 'tools/call': await this.#call(record, io, modern); break;
      case 'subscriptions/listen': this.#listen(rpc, res); break;
      case 'resources/list': io.result({ ...cached, resources: [] }); break;
      case 'prompts/list': io.result({ ...cached, prompts: [] }); break;
      default: problem(res, modern ? 404 : 200, rpc.id, -32601, `Method not found: ${rpc.method}`);
    }
  }

  #list(cursor) {
    const from = Number(cursor ?? 0);
    const list = this.tools.slice(from, from + this.pageSize).map(({ run, ...tool }) => ({ inputSchema: { type: 'object' }, ...tool }));
    return from + this.pageSize < this.tools.length ? { tools: list, nextCursor: String(from + this.pageSize) } : { tools: list };
  }

  #listen(rpc, res) {
    this.listeners ??= new Set();
    const listener = { res, id: rpc.id };
    this.listeners.add(listener);
    res.on('close', () => this.listeners.delete(listener));
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    res.write(frame({ jsonrpc: '2.0', method: 'notifications/subscriptions/acknowledged',
      params: { notifications: { toolsListChanged: true }, _meta: { [`${META}subscriptionId`]: rpc.id } } }));
  }

  async #call(record, io, modern) {
    const { rpc, headers, session } = record;
    const tool = this.tools.find((t) => t.name === rpc.params.name);
    if (!tool) {
      io.error(-32602, `Unknown tool: ${rpc.params.name}`);
      return;
    }
    const call = { tool: tool.name, arguments: rpc.params.arguments ?? {}, meta: rpc.params._meta ?? {}, headers, session, id: rpc.id, at: Date.now() };
    const abort = new AbortController();
    call.cancel = () => { call.cancelled = true; abort.abort(); };
    io.res.on('close', () => { if (modern && !io.ended) call.cancel(); });
    this.calls.push(call);
    const context = {
      arguments: call.arguments, call, server: this, signal: abort.signal,
      progress: (progress, total, message) => io.progress(progress, total, message),
      elicit: (key, params) => io.elicit(key, params),
    };
    try {
      const result = await tool.run(context);
      call.outcome = 'result';
      io.result(modern ? { resultType: 'complete', ...result } : result);
    } catch (e) {
      if (e instanceof InputRequired) {
        call.outcome = 'input_required';
        io.result(e.result);
      } else if (abort.signal.aborted) {
        call.outcome = 'cancelled';
        io.res.destroy();
      } else {
        call.outcome = 'error';
        io.error(e.code ?? -32603, e.message);
      }
    }
  }
}

/** The answer to one request: JSON, or SSE as soon as something comes before it. */
class Exchange {
  constructor(res, rpc, modern, server) {
    Object.assign(this, { res, rpc, modern, server, streaming: false, ended: false });
    if (server.stream) this.#open();
  }

  #open() {
    if (this.streaming) return;
    this.streaming = true;
    this.res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  }

  notify(message) {
    this.#open();
    this.res.write(frame({ jsonrpc: '2.0', ...message }));
  }

  progress(progress, total, message) {
    const progressToken = this.rpc.params._meta?.progressToken;
    if (progressToken !== undefined) this.notify({ method: 'notifications/progress', params: { progressToken, progress, total, message } });
  }

  /** What the user answered: {action, content}. In the modern era the call ends here and comes again. */
  async elicit(key, params) {
    if (this.modern) {
      const answer = this.rpc.params.inputResponses?.[key];
      if (!answer) throw new InputRequired({ [key]: { method: 'elicitation/create', params: { mode: 'form', ...params } } }, `state of ${key} "\u00e9\\`);
      if (this.rpc.params.requestState !== `state of ${key} "\u00e9\\`) this.server.violations.push(`requestState came back as ${this.rpc.params.requestState}`);
      return answer;
    }
    const id = `ask-${randomUUID()}`;
    const answered = new Promise((resolve) => this.server.asked.set(id, resolve));
    this.notify({ id, method: 'elicitation/create', params });
    const rpc = await answered;
    if (rpc.error) throw Object.assign(new Error(rpc.error.message), { code: rpc.error.code });
    return rpc.result;
  }

  #end(message) {
    this.ended = true;
    const rpc = { jsonrpc: '2.0', id: this.rpc.id, ...message };
    if (this.streaming) this.res.end(frame(rpc));
    else respond(this.res, 200, rpc);
  }

  result(result) {
    this.#end({ result });
  }

  error(code, message) {
    this.#end({ error: { code, message } });
  }
}

export const frame = (message) => `event: message\ndata: ${JSON.stringify(message)}\n\n`;

export function respond(res, status, body, headers = {}) {
  res.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  res.end(JSON.stringify(body));
}

function problem(res, status, id, code, message, data) {
  respond(res, status, { jsonrpc: '2.0', id, error: { code, message, data } });
}

/** A user of a gateway on PostgreSQL with a key of their own: {headers, call, stream}. */
export async function createUser(g, user, ...flags) {
  const r = await g.command(['keys', 'create', '--user', user, '--allow-operator-llm', ...flags]);
  if (r.code !== 0) throw new Error(`keys create: ${r.stdout}${r.stderr}`);
  const headers = { 'X-API-Key': r.stdout.trim().split(/\s+/).find((w) => /^adj_/.test(w)) };
  return {
    user, headers,
    call: (method, path, body) => g.request(method, path, { body, headers }),
    chat: (message, more) => g.chat(message, more, { headers }),
    stream: (message, more) => g.stream(message, more, { headers }),
  };
}

/** A server on stdio for mcp.json; its log is read with `log()`. See mcp_stdio.mjs. */
export class McpStdio {
  constructor(mode = 'honest', era = 'both') {
    this.file = path.join(scratch(), 'log');
    this.mode = mode;
    this.era = era;
  }

  definition(more = {}) {
    return { command: process.execPath, args: [fileURLToPath(new URL('mcp_stdio.mjs', import.meta.url)), this.file, this.mode, this.era], ...more };
  }

  log() {
    return fs.existsSync(this.file) ? fs.readFileSync(this.file, 'utf8').split('\n').filter(Boolean).map((l) => JSON.parse(l)) : [];
  }

  get pids() {
    return [...new Set(this.log().map((l) => l.pid))];
  }

  executions(tool) {
    return this.log().filter((l) => l.rpc?.method === 'tools/call' && l.rpc.params.name === tool).length;
  }
}
