// What stands on the stage of a benchmark: the fake model, nginx in front of it, the gateways, and
// the instruments: the load generator, CPU time and memory from /proc.
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** CPU time of a process and its threads so far, in seconds. */
export function cpuSeconds(pid) {
  let ns = 0;
  for (const task of fs.readdirSync(`/proc/${pid}/task`)) {
    try { ns += Number(fs.readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]); } catch { /* it ended */ }
  }
  return ns / 1e9;
}

export function memory(pid) {
  const rollup = fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kib = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)[1]);
  return { rss: kib('Rss') * 1024, pss: kib('Pss') * 1024 };
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Bench {
  constructor(options) {
    Object.assign(this, options);
    this.dir = fs.mkdtempSync(path.join(options.root, 'build/bench-'));
    fs.chmodSync(this.dir, 0o711); // PostgreSQL's server may run as another user
    this.servers = {};
  }

  async start() {
    // The homes belong on a real disk, as what is measured includes its fsync.
    process.env.TMPDIR = this.dir;
    process.env.ADJUTANT_BUILD = this.build;
    this.programs = await import('../flow/lib/programs.mjs');
    this.fake = await this.programs.Fake.start({ key: '' });
    await this.startNginx();
    for (const backend of this.backends) this.servers[backend] = await this.gateway(backend);
  }

  /** A gateway whose every answer is the model's fixed one. */
  async gateway(backend, { model = 'bench-32', env = {}, ...more } = {}) {
    const g = await this.programs.Adjutant.start({
      backend, fake: this.fake, provider: 'openai', env: { LLM_MODEL: model, OPENAI_API_KEY: 'bench', ...env }, ...more });
    return g;
  }

  async startNginx() {
    const port = await this.programs.freePort();
    const conf = path.join(this.dir, 'nginx.conf');
    fs.writeFileSync(conf, `
worker_processes 1; daemon off; pid ${this.dir}/nginx.pid; error_log ${this.dir}/nginx.log;
events { worker_connections 12000; }
http {
  access_log off; client_body_temp_path ${this.dir}/nb; proxy_temp_path ${this.dir}/np; fastcgi_temp_path ${this.dir}/nf;
  uwsgi_temp_path ${this.dir}/nu; scgi_temp_path ${this.dir}/ns;
  upstream fake { server 127.0.0.1:${this.fake.port}; keepalive 128; }
  server {
    listen 127.0.0.1:${port}; keepalive_requests 100000000;
    location / { proxy_pass http://fake; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }
  }
}
`);
    this.nginx = new this.programs.Program(['nginx'], ['-p', this.dir, '-c', conf], process.env);
    this.nginxUrl = `http://127.0.0.1:${port}`;
    for (let i = 0; i < 100 && !fs.existsSync(`${this.dir}/nginx.pid`); i++) await sleep(20);
    const children = fs.readFileSync(`/proc/${this.nginx.pid}/task/${this.nginx.pid}/children`, 'utf8').trim().split(' ');
    this.nginxWorker = Number(children[0]);
  }

  /** What is asked of the model, directly or through nginx: about what a gateway sends it. */
  plainRequest(model = 'bench-32') {
    const body = JSON.stringify({ model, stream: true, stream_options: { include_usage: true },
      messages: [{ role: 'system', content: 'You are an assistant. '.repeat(60) }, { role: 'user', content: 'hello' }] });
    return ['-d', body, '--first', '"content":"t', '--end', '[DONE]'];
  }

  turnRequest(g, { thread, message = 'hello' } = {}) {
    const body = JSON.stringify({ message, ...(thread ? { thread_id: thread } : {}) });
    const key = g.headers['X-API-Key'] ? ['-H', `X-API-Key: ${g.headers['X-API-Key']}`] : [];
    return ['-d', body, '-H', 'Accept: text/event-stream', ...key, '--first', 'TEXT_MESSAGE_CONTENT', '--end', 'RUN_FINISHED'];
  }

  /** Runs the load generator; its report. */
  async load(url, args) {
    let stdout;
    try {
      ({ stdout } = await run(path.join(this.build, 'tests/bench/load'), ['post', url, ...args.map(String)], { maxBuffer: 1 << 24 }));
    } catch (e) {
      ({ stdout } = e);
      if (!stdout) throw e;
    }
    const report = JSON.parse(stdout);
    if (report.errors) console.error(`  ${report.errors} errors: ${report.first_error}`);
    return report;
  }

  async sockets(g, n, held) {
    const url = `${g.url}/ws`;
    const args = ['sockets', url, '-c', String(n), ...(g.headers['X-API-Key'] ? ['-H', `X-API-Key: ${g.headers['X-API-Key']}`] : [])];
    const p = new this.programs.Program([path.join(this.build, 'tests/bench/load')], args, process.env, { stdin: 'pipe' });
    while (!/open \d+/.test(p.output) && !p.end) await sleep(50);
    const open = Number(/open (\d+)/.exec(p.output)?.[1] ?? 0);
    const value = await held(open);
    p.child.stdin.end();
    await p.ended;
    return value;
  }

  /** MCP servers to call: made-up ones, and one that costs next to nothing (our own, in C). */
  async mcp() {
    const { McpServer } = await import('../flow/lib/mcp_servers.mjs');
    const { manyTools, richTools } = await import('../flow/lib/mcp_tools.mjs');
    const port = await this.programs.freePort();
    const program = new this.programs.Program([path.join(this.build, 'tests/conformance/mcp_conformance_server')], ['--listen', `127.0.0.1:${port}`], process.env);
    const lean = { url: `http://127.0.0.1:${port}/mcp`, tool: 'test_simple_text', stop: () => program.stop('SIGTERM').catch(() => {}) };
    for (let i = 0; i < 100; i++) {
      try { await (await fetch(lean.url)).arrayBuffer(); break; } catch { await sleep(20); }
    }
    return { McpServer, manyTools, richTools, lean };
  }

  /** Runs bench_bridge in a home of its own; its report. */
  async bridge(what, mcpServers, args) {
    const home = fs.mkdtempSync(path.join(this.dir, 'bridge-'));
    fs.writeFileSync(path.join(home, 'mcp.json'), JSON.stringify({ mcpServers }));
    const { stdout, stderr } = await run(path.join(this.build, 'tests/bench/bench_bridge'), [home, what, ...args.map(String)], { maxBuffer: 1 << 24 });
    const complaints = stderr.split('\n').filter((l) => l && !/^\d{4}-.* info /.test(l));
    if (complaints.length) console.error(complaints.slice(-5).join('\n'));
    return JSON.parse(stdout.split('\n').find((l) => l.startsWith('{')));
  }

  /** CPU seconds of a database's processes. */
  databaseSeconds(g) {
    if (!g.db) return 0;
    const port = /:(\d+)\//.exec(g.db)[1];
    let total = 0;
    for (const pid of fs.readdirSync('/proc').filter((d) => /^\d+$/.test(d))) {
      try {
        const parent = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        if (parent.startsWith('postgres:') || parent.includes('/postgres')) {
          const ppid = /^PPid:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1];
          const main = parent.startsWith('postgres:') ? ppid : pid;
          if (fs.readFileSync(path.join(fs.readlinkSync(`/proc/${main}/cwd`), 'postmaster.pid'), 'utf8').split('\n')[3] === port) total += cpuSeconds(pid);
        }
      } catch { /* it ended, or is nobody of ours */ }
    }
    return total;
  }

  async stop() {
    for (const g of Object.values(this.servers)) if (g.alive) await g.stop().catch((e) => console.error(e.message));
    if (this.nginx && !this.nginx.end) await this.nginx.stop('SIGTERM').catch(() => {});
    await this.fake?.stop().catch(() => {});
    process.on('exit', () => fs.rmSync(this.dir, { recursive: true, force: true }));
  }
}
