// The MCP server library as a program: the conformance suite's server under test.
import fs from 'node:fs';
import path from 'node:path';
import { EFFECTS, Program } from './programs.mjs';
import { eventually, request } from './http.mjs';

export const MCP_FIXTURE = path.join(path.dirname(EFFECTS), '../conformance/mcp_conformance_server');
export const MODERN = '2026-07-28';
const META = 'io.modelcontextprotocol/';
const ACCEPT = { Accept: 'application/json, text/event-stream' };

/** Freed memory is not held back for long, as tests look at how much there is. */
export function fixtureEnvironment() {
  return {
    PATH: process.env.PATH, HOME: '/tmp', LANG: 'C.UTF-8',
    ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? 'detect_stack_use_after_return=0:abort_on_error=1'}:quarantine_size_mb=1:thread_local_quarantine_size_kb=64`,
    UBSAN_OPTIONS: process.env.UBSAN_OPTIONS ?? 'halt_on_error=1:print_stacktrace=1',
  };
}

export class McpFixture {
  static async start(args = []) {
    const f = new McpFixture();
    f.program = new Program([MCP_FIXTURE], ['--listen', '127.0.0.1:0', ...args], fixtureEnvironment());
    await eventually(() => {
      if (f.program.end) throw Object.assign(new Error(`the fixture ended: ${f.program.output}`), { fatal: true });
      f.url = /listening on (\S+)/.exec(f.program.output)?.[1];
      return f.url;
    }, { what: 'the MCP fixture' });
    f.base = new URL(f.url).origin;
    return f;
  }

  /** Ends it; it must end well, and without complaints of a sanitizer. */
  async stop() {
    const end = await this.program.stop();
    if (end.code !== 0) throw new Error(`the fixture ended with ${JSON.stringify(end)}:\n${this.program.output.slice(-4000)}`);
  }

  get residentKib() {
    return Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${this.program.pid}/status`, 'utf8'))[1]);
  }

  post(body, headers = {}) {
    return request(this.base, 'POST', '/mcp', { headers: { ...ACCEPT, ...headers }, body });
  }

  /** A legacy session: its id. */
  async initialize(headers = {}, { revision = '2025-11-25', capabilities = {} } = {}) {
    const r = await this.post({ jsonrpc: '2.0', id: 0, method: 'initialize',
      params: { protocolVersion: revision, capabilities, clientInfo: { name: 'flow', version: '1' } } }, headers);
    if (r.status !== 200) throw new Error(`initialize: ${r.status} ${r.text}`);
    return r.headers['mcp-session-id'];
  }

  /** A request of the stateless revision, as its body and its headers. */
  modern(method, params = {}, { id = 1, capabilities = {}, headers = {} } = {}) {
    const name = params.name ?? params.uri;
    return [
      { jsonrpc: '2.0', id, method, params: { ...params, _meta: {
        [`${META}protocolVersion`]: MODERN, [`${META}clientCapabilities`]: capabilities, ...params._meta } } },
      { ...ACCEPT, 'MCP-Protocol-Version': MODERN, 'Mcp-Method': method, ...(name ? { 'Mcp-Name': name } : {}), ...headers },
    ];
  }

  async call(method, params, options) {
    return this.post(...this.modern(method, params, options));
  }
}
