// The programs under test as child processes: started, watched, killed, cleaned up.
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { EventStream, eventually, request, within } from './http.mjs';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const BUILD = process.env.ADJUTANT_BUILD ?? path.join(ROOT, 'build/asan');
export const ADJUTANT = process.env.ADJUTANT_BIN ?? path.join(BUILD, 'bin/adjutant');
// The program with tools whose effects can be counted.
export const EFFECTS = path.join(BUILD, 'tests/flow/adjutant_effects');
const FAKE = process.env.FAKE_MODEL_BIN ?? path.join(BUILD, 'tests/fake/fake_model');
// A prefix for the program, such as "valgrind -q --error-exitcode=99".
const WRAPPER = (process.env.ADJUTANT_WRAPPER ?? '').split(' ').filter(Boolean);
const READY_MS = WRAPPER.length ? 60_000 : 20_000;
const COMPLAINTS = /ERROR: (Address|Leak)Sanitizer|runtime error:|assertion|Assertion|stack smashing|core dumped|==\d+== /;

const children = new Set();
/** Ends what a failed test left behind, which would keep the runner waiting. */
export function killAll() {
  for (const child of children) child.kill('SIGKILL');
}
process.setMaxListeners(0); // each scratch folder has one
process.on('exit', killAll);

export const BACKENDS = process.env.BACKEND ? [process.env.BACKEND] : ['sqlite', 'postgres'];

export function scratch() {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'adjutant-flow-'));
  process.on('exit', () => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const PORTS_BEGIN = 10_000, BLOCKS = 100, BLOCK = 100; // below those that the kernel gives to clients
let block;
let nextPort = 0;

/** A block of ports for this process alone: a gateway that is killed and started again wants its
 * port back, and must not meet another test's gateway there. */
function claimBlock() {
  for (let i = 0; i < BLOCKS; i++) {
    const n = (process.pid + i) % BLOCKS;
    const lock = path.join(os.tmpdir(), `adjutant-flow-ports-${n}`);
    try {
      fs.symlinkSync(String(process.pid), lock); // atomic, and says whose it is
    } catch {
      const owner = fs.readlinkSync(lock, { encoding: 'utf8' });
      if (fs.existsSync(`/proc/${owner}`)) continue;
      fs.rmSync(lock, { force: true }); // left by a process that was killed
      i--;
      continue;
    }
    process.on('exit', () => fs.rmSync(lock, { force: true }));
    return n;
  }
  throw new Error('all blocks of ports are taken');
}

export async function freePort() {
  block ??= claimBlock();
  for (let i = 0; i < BLOCK; i++) {
    const port = PORTS_BEGIN + block * BLOCK + nextPort++ % BLOCK;
    const server = net.createServer();
    const free = await new Promise((resolve) => {
      server.on('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
  throw new Error('no port is free');
}

/** One child process; its output is kept. */
export class Program {
  constructor(command, args, env, { stdin = 'ignore' } = {}) {
    const [first, ...rest] = command;
    this.output = '';
    this.child = spawn(first, [...rest, ...args], { env, stdio: [stdin, 'pipe', 'pipe'] });
    children.add(this.child);
    this.child.stdout.on('data', (d) => { this.output += d; });
    this.child.stderr.on('data', (d) => { this.output += d; });
    this.ended = new Promise((resolve) => this.child.on('close', (code, signal) => {
      children.delete(this.child);
      this.end = { code, signal };
      resolve(this.end);
    }));
    this.child.on('error', (e) => { this.output += e; });
  }

  get pid() {
    return this.child.pid;
  }

  async stop(signal = 'SIGTERM', deadlineMs = 20_000) {
    if (!this.end) this.child.kill(signal);
    if (!await within(this.ended, deadlineMs)) {
      this.child.kill('SIGKILL');
      throw new Error(`the process did not end within ${deadlineMs} ms of ${signal}:\n${this.output.slice(-2000)}`);
    }
    return this.end;
  }
}

function plainEnvironment(more) {
  const env = { PATH: process.env.PATH, HOME: os.tmpdir(), LANG: 'C.UTF-8', ...more };
  for (const name of ['ASAN_OPTIONS', 'UBSAN_OPTIONS', 'LSAN_OPTIONS', 'ADJUTANT_CHAOS']) {
    if (process.env[name]) env[name] ??= process.env[name];
  }
  env.ASAN_OPTIONS ??= 'detect_stack_use_after_return=0:abort_on_error=1';
  env.UBSAN_OPTIONS ??= 'halt_on_error=1:print_stacktrace=1';
  return env;
}

export const sha256 = (text) => createHash('sha256').update(text).digest('hex');

/** The fake model. Its key is demanded of every request. */
export class Fake {
  static async start({ key = 'sk-fake-0123456789abcdef', args = [], port } = {}) {
    const f = new Fake();
    f.key = key;
    f.args = args;
    f.port = port ?? await freePort();
    await f.begin();
    return f;
  }

  async begin() {
    this.program = new Program([FAKE], ['--listen', `127.0.0.1:${this.port}`, '--key', this.key, ...this.args], plainEnvironment());
    this.url = `http://127.0.0.1:${this.port}`;
    await eventually(() => {
      if (this.program.end) throw Object.assign(new Error(`the fake model ended: ${this.program.output}`), { fatal: true });
      return request(this.url, 'GET', '/requests?last=0');
    }, { what: 'the fake model' });
  }

  async log(last = 50) {
    return (await request(this.url, 'GET', `/requests?last=${last}`)).json;
  }

  async requests(last) {
    return (await this.log(last)).requests;
  }

  async clear() {
    await request(this.url, 'DELETE', '/requests');
  }

  /** All three providers at once: models are named "provider:model". */
  everything() {
    return { ...this.environment('ollama'), ...this.environment('openai'), ...this.environment('anthropic') };
  }

  /** The environment that makes it a gateway's provider. */
  environment(provider) {
    switch (provider) {
      case 'anthropic': return { LLM_PROVIDER: 'claude', ANTHROPIC_BASE_URL: this.url, ANTHROPIC_API_KEY: this.key, LLM_MODEL: 'fake-1' };
      case 'openai': return { LLM_PROVIDER: 'openai', OPENAI_BASE_URL: `${this.url}/v1`, OPENAI_API_KEY: this.key, LLM_MODEL: 'fake-1' };
      case 'ollama': return { LLM_PROVIDER: 'ollama', OLLAMA_BASE_URL: this.url, LLM_MODEL: 'fake-1' };
      default: throw new Error(provider);
    }
  }

  async stop() {
    const end = await this.program.stop();
    complain(this.program, end, 'the fake model');
  }
}

function complain(program, end, what) {
  const line = program.output.split('\n').findIndex((l) => COMPLAINTS.test(l) && !/doesn't fully support/.test(l));
  if (line >= 0) {
    throw new Error(`${what} complained:\n${program.output.split('\n').slice(line, line + 60).join('\n')}`);
  }
  if (end && end.signal !== 'SIGKILL' && (end.code !== 0 || end.signal)) {
    throw new Error(`${what} ended with ${JSON.stringify(end)}:\n${program.output.slice(-3000)}`);
  }
}

/** A PostgreSQL cluster: the run's own (FLOW_PG_URL), or one made for this process. */
export class Postgres {
  static #shared;

  static async start(dir = path.join(scratch(), 'pg')) {
    const p = new Postgres();
    p.dir = dir;
    fs.chmodSync(path.dirname(dir), 0o711); // the server may run as another user
    p.tool = path.join(ROOT, 'tools/pg-test-cluster');
    const { stdout } = await run(p.tool, ['start', dir, String(process.pid)]);
    p.url = stdout.trim();
    return p;
  }

  static shared() {
    Postgres.#shared ??= process.env.FLOW_PG_URL
      ? Promise.resolve(Object.assign(new Postgres(), { url: process.env.FLOW_PG_URL }))
      : Postgres.start();
    return Postgres.#shared;
  }

  async database() {
    const name = `flow_${process.pid}_${Math.random().toString(36).slice(2, 10)}`;
    await this.query(`CREATE DATABASE ${name}`);
    return this.url.replace(/\/[^/]*$/, `/${name}`);
  }

  /** Rows as arrays of strings. */
  async query(sql, url = this.url) {
    return query(url, sql);
  }

  async control(verb) {
    await run(this.tool, [verb, this.dir]);
  }
}

async function query(url, sql) {
  const { stdout } = await run('psql', ['-X', '-q', '-A', '-t', '-F', '\x1f', '-R', '\x1e', '-v', 'ON_ERROR_STOP=1', '-d', url, '-c', sql], { maxBuffer: 1 << 28 });
  return stdout.replace(/\n$/, '').split('\x1e').filter((r) => r !== '').map((r) => r.split('\x1f'));
}

/** An adjutant with a home of its own, and what a client does with it. */
export class Adjutant {
  /** options: backend, fake, provider, env, db (of another gateway), key (sent by the helpers), mcp
   * (the mcpServers of mcp.json, or a function that gives them; none unless said; null: no file). */
  static async start(options) {
    const a = new Adjutant();
    a.options = { provider: 'anthropic', env: {}, ...options };
    a.dir = scratch();
    a.home = path.join(a.dir, 'home');
    a.past = [];
    a.configure(typeof options.mcp === 'function' ? options.mcp() : options.mcp);
    a.port = await freePort();
    a.url = `http://127.0.0.1:${a.port}`;
    a.headers = options.key ? { 'X-API-Key': options.key } : {};
    if (options.backend === 'postgres') {
      a.postgres = options.postgres ?? await Postgres.shared();
      a.db = options.db ?? await a.postgres.database();
    }
    await a.begin();
    return a;
  }

  /** Writes the home's mcp.json, which is read at the start. */
  configure(mcpServers = {}, more = {}) {
    if (mcpServers === null) return;
    fs.mkdirSync(this.home, { recursive: true, mode: 0o700 });
    fs.writeFileSync(path.join(this.home, 'mcp.json'), JSON.stringify({ mcpServers, ...more }, undefined, 2), { mode: 0o600 });
  }

  environment(more = {}) {
    const { fake, provider, env } = this.options;
    const all = { ...(fake ? fake.environment(provider) : {}), ...(typeof env === 'function' ? env(fake) : env) };
    // On PostgreSQL callers are known by api_keys; the helpers use the key that seeds it.
    if (this.db) {
      this.headers = Object.keys(this.headers).length ? this.headers : { 'X-API-Key': 'seed-key-0123456789abcdef' };
      all.SYSTEM_DB_URL = this.db;
      all.ASSISTANT_API_KEY ??= this.headers['X-API-Key'];
      all.CREDENTIALS_ENCRYPTION_KEY ??= 'c2VjcmV0cyBvZiB0aGUgZmxvdyB0ZXN0cywgMzIgYi4=';
    }
    all.TITLE_MODEL ??= 'off'; // so that the model's calls are those of the turns
    return plainEnvironment({ ...all, ...more });
  }

  /** Starts it (again) and waits until it is ready. more: variables for this time only. */
  async begin(more = {}, { ready = true } = {}) {
    this.program = new Program([...WRAPPER, this.options.program ?? ADJUTANT], ['serve', '--listen', `127.0.0.1:${this.port}`, '--home', this.home], this.environment(more));
    if (ready) await this.ready();
  }

  async ready() {
    const p = this.program;
    await eventually(async () => {
      if (p.end) return true;
      return (await request(this.url, 'GET', '/api/health', { deadlineMs: 2000 })).status === 200;
    }, { deadlineMs: READY_MS, everyMs: 20, what: `health of ${this.url}:\n${p.output.slice(-1000)}` });
    if (p.end) throw new Error(`adjutant ended with ${JSON.stringify(p.end)}:\n${p.output.slice(-3000)}`);
  }

  /** SIGKILL. */
  async kill() {
    await this.program.stop('SIGKILL');
    this.#settle();
  }

  /** Waits for it to have killed itself. */
  async died(deadlineMs = 30_000) {
    if (!await within(this.program.ended, deadlineMs)) throw new Error(`it still lives after ${deadlineMs} ms`);
    this.#settle();
  }

  get alive() {
    return !this.program.end;
  }

  async stop() {
    await this.program.stop('SIGTERM', 40_000);
    this.#settle();
  }

  #settle() {
    const p = this.program;
    this.past.push(p.output);
    complain(p, p.end, 'adjutant');
  }

  async restart(more) {
    if (this.alive) await this.stop();
    await this.begin(more);
  }

  /** All that it ever wrote to its log. */
  get output() {
    return [...this.past, this.program.end ? '' : this.program.output].join('\n');
  }

  // ---- what a client does ----

  request(method, path_, options = {}) {
    return request(this.url, method, path_, { ...options, headers: { ...this.headers, ...options.headers } });
  }

  get(path_, options) {
    return this.request('GET', path_, options);
  }

  post(path_, body, options) {
    return this.request('POST', path_, { body, ...options });
  }

  /** POST /api/chat, JSON: its body; throws unless 200 or 202. */
  async chat(message, more = {}, options = {}) {
    const r = await this.post('/api/chat', { message, ...more }, options);
    if (r.status !== 200 && r.status !== 202) throw Object.assign(new Error(`chat: ${r.status} ${r.text}`), { status: r.status, problem: r.json });
    return r.json;
  }

  /** POST /api/chat, SSE. The stream has threadId and turnId. */
  async stream(message, more = {}, options = {}) {
    const s = await EventStream.open(this.url, 'POST', '/api/chat', {
      body: { message, ...more }, ...options, headers: { ...this.headers, ...options.headers },
    });
    s.threadId = s.response.headers['x-thread-id'];
    s.turnId = s.response.headers['x-turn-id'];
    return s;
  }

  /** GET /api/turns/ID/events; since: a sequence number, sent as Last-Event-ID. */
  follow(turnId, since, options = {}) {
    const headers = { ...this.headers, ...(since === undefined ? {} : { 'Last-Event-ID': String(since) }), ...options.headers };
    return EventStream.open(this.url, 'GET', `/api/turns/${turnId}/events`, { ...options, headers });
  }

  async turn(turnId) {
    return (await this.get(`/api/turns/${turnId}`)).json;
  }

  ended(turnId, options = {}) {
    return eventually(async () => {
      const t = await this.turn(turnId);
      return ['done', 'failed', 'cancelled', 'interrupted'].includes(t?.state) && t;
    }, { what: `the end of turn ${turnId}`, deadlineMs: 40_000, ...options });
  }

  async messages(threadId) {
    return (await this.get(`/api/threads/${threadId}?limit=200`)).json.messages;
  }

  async socket(options = {}) {
    const { Socket } = await import('./socket.mjs');
    return Socket.open(this.url, { ...options, headers: { ...this.headers, ...options.headers } });
  }

  /** Runs a query on its database, past the program. Rows as arrays of strings. */
  async query(sql) {
    if (this.db) return query(this.db, sql);
    const { stdout } = await run('sqlite3', ['-readonly', '-separator', '\x1f', '-newline', '\x1e', path.join(this.home, 'adjutant.db'), sql], { maxBuffer: 1 << 28 });
    return stdout.split('\x1e').filter((r) => r !== '').map((r) => r.split('\x1f'));
  }

  /** Runs a subcommand: {code, stdout, stderr}. */
  async command(args, { env = {}, input } = {}) {
    return new Promise((resolve) => {
      const child = execFile(ADJUTANT, args, { env: this.environment({ ADJUTANT_HOME: this.home, ...env }), timeout: 60_000 },
        (error, stdout, stderr) => resolve({ code: error ? error.code ?? 255 : 0, stdout, stderr }));
      child.stdin.end(input);
    });
  }

  resident() {
    const rollup = fs.readFileSync(`/proc/${this.program.pid}/smaps_rollup`, 'utf8');
    return Number(/^Rss:\s+(\d+)/m.exec(rollup)[1]) * 1024;
  }
}
