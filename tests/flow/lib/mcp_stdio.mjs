// An MCP server on stdin and stdout, honest or not: node mcp_stdio.mjs LOG [MODE] [ERA].
// LOG gets a line of JSON for its start (pid, environment) and each message that arrives.
//   honest      (also says things that are no JSON in between, and much on stderr)
//   silent      never answers          dies        ends in the middle of a call
//   flood       a line without end     stubborn    ignores the end of its input and SIGTERM
//   crashes     ends at once           garbage     answers calls with no JSON
import fs from 'node:fs';
import readline from 'node:readline';
import { tools } from './mcp_tools.mjs';

const [log, mode = 'honest', era = 'both'] = process.argv.slice(2);
const note = (what) => fs.appendFileSync(log, `${JSON.stringify({ pid: process.pid, ...what })}\n`);
const say = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
const offered = [tools.echo, tools.count, tools.safe_count, tools.wait, tools.steps];
const running = new Map();
const info = { name: 'stdio', version: '1.0.0' };

note({ start: true, env: process.env, args: process.argv.slice(2) });
if (mode === 'crashes') process.exit(3);
if (mode === 'stubborn') process.on('SIGTERM', () => note({ signal: 'SIGTERM' }));
process.on('exit', () => note({ exit: true }));
if (mode === 'honest') {
  process.stdout.write('starting up, this is no JSON\n');
  process.stderr.write('a word on stderr\n'.repeat(20_000));
}

async function call(rpc) {
  const tool = offered.find((t) => t.name === rpc.params.name);
  const abort = new AbortController();
  running.set(rpc.id, abort);
  try {
    const result = await tool.run({
      arguments: rpc.params.arguments ?? {}, signal: abort.signal, server: running, call: {},
      progress: (progress, total, message) => say({ method: 'notifications/progress',
        params: { progressToken: rpc.params._meta?.progressToken, progress, total, message } }),
    });
    say({ id: rpc.id, result: { resultType: 'complete', ...result } });
  } catch (e) {
    note({ cancelled: rpc.id });
    if (!abort.signal.aborted) say({ id: rpc.id, error: { code: -32603, message: e.message } });
  }
  running.delete(rpc.id);
}

function answer(rpc) {
  const modern = rpc.params?._meta?.['io.modelcontextprotocol/protocolVersion'] !== undefined;
  const cached = { resultType: 'complete', ttlMs: 300_000, cacheScope: 'private' };
  const list = offered.map(({ run, ...t }) => t);
  if (modern && era === 'legacy') return say({ id: rpc.id, error: { code: -32601, message: 'Method not found' } });
  switch (rpc.method) {
    case 'server/discover': return say({ id: rpc.id, result: { ...cached, supportedVersions: ['2026-07-28'], capabilities: { tools: {} }, _meta: { 'io.modelcontextprotocol/serverInfo': info } } });
    case 'initialize': return say({ id: rpc.id, result: { protocolVersion: rpc.params.protocolVersion, capabilities: { tools: {} }, serverInfo: info } });
    case 'ping': return say({ id: rpc.id, result: {} });
    case 'tools/list': return say({ id: rpc.id, result: { ...(modern ? cached : {}), tools: list } });
    case 'notifications/cancelled': return running.get(rpc.params.requestId)?.abort();
    case 'tools/call':
      if (mode === 'dies') return setTimeout(() => process.exit(1), 50);
      if (mode === 'garbage') return process.stdout.write('%% }{ this is not what you asked for\n');
      if (mode === 'flood') {
        const pour = () => { while (process.stdout.write('x'.repeat(65536))); process.stdout.once('drain', pour); };
        return pour();
      }
      return call(rpc);
    default:
      if (rpc.id !== undefined) say({ id: rpc.id, error: { code: -32601, message: 'Method not found' } });
  }
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const rpc = JSON.parse(line);
  note({ rpc });
  if (mode !== 'silent') answer(rpc);
}).on('close', () => {
  if (mode === 'stubborn') setInterval(() => {}, 1000);
  else process.exit(0);
});
