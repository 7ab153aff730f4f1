// The program's commands as a person or a script uses them: what they print, and their exit status.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ADJUTANT, Adjutant, eachBackend, eventually, Fake, freePort, fresh, sleep, within } from './harness.mjs';

const OK = 0, FAILED = 1, USAGE = 2, CONFIGURATION = 3, DATABASE = 4, UNREACHABLE = 5, DENIED = 6, INTERRUPTED = 130;
const ROOT = new URL('../..', import.meta.url);

/** Without the sanitizer's remark that it does not know all about fibers. */
const plain = (text) => text.replace(/^==\d+==WARNING: ASan doesn't fully support.*\n/gm, '');

/** A command whose output is followed while it runs. */
class Running {
  constructor(command, args, env) {
    this.out = this.err = this.all = '';
    this.child = spawn(command, args, { env });
    this.child.stdout.on('data', (d) => { this.out += d; this.all += d; });
    this.child.stderr.on('data', (d) => { this.err = plain(this.err + d); });
    this.child.stdin.on('error', () => {}); // it may have ended
    this.ended = new Promise((resolve) => this.child.on('close', (code, signal) => resolve({ code, signal })));
  }

  sees(pattern, what = String(pattern)) {
    return eventually(() => pattern.test(this.out + this.err), { what: `${what} in:\n${this.all}\n${this.err}` });
  }

  /** Types, and forgets what was seen before. */
  type(text) {
    this.out = this.err = '';
    this.child.stdin.write(text);
  }

  async end() {
    const end = await within(this.ended, 30_000);
    if (!end) this.child.kill('SIGKILL');
    assert.ok(end, `it did not end:\n${this.out}\n${this.err}`);
    return end.code;
  }
}

function run(g, args, env = {}) {
  return new Running(ADJUTANT, args, g.environment({ ADJUTANT_HOME: g.home, ...env }));
}

function chat(g, ...args) {
  return run(g, ['chat', '--url', g.url, ...args]);
}

/** The conversation on a terminal: script(1) makes one. */
function terminal(g, ...args) {
  const command = [ADJUTANT, 'chat', '--url', g.url, ...args].join(' ');
  return new Running('script', ['-qec', command, '/dev/null'], g.environment({ ADJUTANT_HOME: g.home, TERM: 'xterm', LC_ALL: 'C.UTF-8' }));
}

describe('the command line', () => {
  let g;
  before(() => {
    g = new Adjutant();
    Object.assign(g, { options: { env: {} }, home: path.join(fs.mkdtempSync('/tmp/adjutant-flow-'), 'home'), headers: {} });
  });
  after(() => fs.rmSync(path.dirname(g.home), { recursive: true, force: true }));

  test('every command has a help', async () => {
    const commands = [[], ['serve'], ['chat'], ['keys'], ['keys', 'create'], ['keys', 'list'], ['keys', 'revoke'],
      ['keys', 'allow-operator-llm'], ['migrate'], ['doctor'], ['version']];
    for (const command of commands) {
      const { code, stdout } = await g.command([...command, '--help']);
      assert.equal(code, OK, command.join(' '));
      assert.match(stdout, new RegExp(`^usage: ${['adjutant', ...command].join(' ')}`));
      assert.match(stdout, /Exit status:/);
    }
  });

  test('the README lists all settings and exit statuses that the help lists', async () => {
    const readme = fs.readFileSync(new URL('README.md', ROOT), 'utf8');
    const { stdout } = await g.command(['serve', '--help']);
    const [, settings] = stdout.split('Settings,');
    const names = [...settings.matchAll(/^ {2}([A-Z][A-Z_]+) /gm)].map((m) => m[1]);
    assert.ok(names.length > 20, stdout);
    assert.deepEqual(names.filter((n) => !readme.includes(`| \`${n}\` |`)), []);
    const statuses = [...stdout.split('Exit status:')[1].matchAll(/(\d+) /g)].map((m) => m[1]);
    assert.deepEqual(statuses.filter((s) => !readme.includes(`| ${s} |`)), []);
  });

  test('what is wrong on it is said, with status 2', async () => {
    for (const args of [[], ['sing'], ['serve', '--loud'], ['serve', 'now'], ['keys'], ['keys', 'revoke'],
      ['keys', 'create', '--role', 'king'], ['keys', 'allow-operator-llm', '12345678', 'maybe'], ['chat', 'two', 'words']]) {
      const { code, stdout, stderr } = await g.command(args);
      assert.equal(code, USAGE, `${args}: ${stderr}`);
      assert.equal(stdout, '');
      assert.match(stderr, /usage: adjutant|adjutant.*: /);
    }
  });

  test('a wrong setting is named, with status 3', async () => {
    for (const [args, env, said] of [
      [['serve'], { ADJUTANT_DB_POOL: 'many' }, /ADJUTANT_DB_POOL/],
      [['serve'], { LLM_PROVIDER: 'oracle' }, /LLM_PROVIDER/],
      [['doctor'], { SYSTEM_DB_URL: 'mysql://x' }, /SYSTEM_DB_URL/],
      [['version'], { ADJUTANT_LOG: 'chatty' }, /ADJUTANT_LOG/],
      [['serve', '--home', '/dev/null/x'], {}, /ADJUTANT_HOME/],
    ]) {
      const { code, stderr } = await g.command(args, { env });
      assert.equal(code, CONFIGURATION, stderr);
      assert.match(stderr, said);
    }
  });

  test('a database that is not there has status 4, and no secret in its message', async () => {
    const env = { SYSTEM_DB_URL: `postgres://ann:pa55word@127.0.0.1:${await freePort()}/x` };
    for (const args of [['serve'], ['migrate'], ['migrate', '--status'], ['keys', 'list']]) {
      const { code, stdout, stderr } = await g.command(args, { env });
      assert.equal(code, DATABASE, stderr);
      assert.ok(!(stdout + stderr).includes('pa55word'));
    }
    const { code, stdout } = await g.command(['doctor', '--listen', '127.0.0.1:0'], { env });
    assert.equal(code, DATABASE);
    assert.match(stdout, /^FAIL +database/m);
    assert.ok(!stdout.includes('pa55word'));
  });

  test('an open address is refused', async () => {
    const home = path.join(path.dirname(g.home), 'open');
    const serve = await g.command(['serve', '--home', home, '--listen', '0.0.0.0:0']);
    assert.equal(serve.code, CONFIGURATION, serve.stderr);
    assert.match(serve.stderr, /ASSISTANT_API_KEY/);
    const doctor = await g.command(['doctor', '--home', home, '--listen', '0.0.0.0:0']);
    assert.equal(doctor.code, CONFIGURATION, doctor.stdout);
    assert.match(doctor.stdout, /^FAIL +keys/m);
  });

  test('a signal in the middle of the start', async () => {
    const silent = net.createServer(() => {}); // takes connections, says nothing
    await new Promise((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const connected = new Promise((resolve) => silent.once('connection', resolve));
    const c = run(g, ['serve', '--listen', '127.0.0.1:0'], { SYSTEM_DB_URL: `postgres://ann@127.0.0.1:${silent.address().port}/x` });
    await connected;
    c.child.kill('SIGTERM');
    assert.equal(await c.end(), INTERRUPTED, c.err);
    silent.close();
  });

  test('the version', async () => {
    const { code, stdout } = await g.command(['version']);
    assert.equal(code, OK);
    assert.match(stdout, /^adjutant \d+\.\d+\.\d+\n$/);
  });

  test('looking changes nothing', async () => {
    const home = path.join(path.dirname(g.home), 'looked-at');
    const { code, stdout } = await g.command(['migrate', '--status', '--home', home]);
    assert.equal((await g.command(['doctor', '--home', home, '--listen', '127.0.0.1:0'])).code, OK);
    assert.equal(code, OK);
    assert.match(stdout, /^missing +0001 spine$/m);
    assert.deepEqual(fs.readdirSync(home), []);
  });
});

eachBackend('migrate', (start, backend) => {
  const g = start();

  test('twice does nothing', async () => {
    const { code, stdout, stderr } = await g.command(['migrate']);
    assert.deepEqual([code, stdout, plain(stderr)], [OK, 'nothing to do; the schema is up to date\n', '']);
    assert.doesNotMatch((await g.command(['migrate', '--status'])).stdout, /missing/);
  });

  test('a database that is newer than the program is refused', async () => {
    const other = await Adjutant.start({ backend, fake: g.fake });
    await other.stop();
    await addMigration(other);
    const { code, stderr } = await other.command(['serve', '--listen', '127.0.0.1:0']);
    assert.equal(code, DATABASE);
    assert.match(stderr, /newer/);
    assert.equal((await other.command(['migrate', '--status'])).code, DATABASE);
    assert.match((await other.command(['doctor'])).stdout, /^FAIL +schema/m);
  });

  async function addMigration(a) {
    const sql = "INSERT INTO schema_migrations VALUES (9999, 'future', 'x', '2030-01-01T00:00:00.000000Z')";
    if (a.db) return a.query(sql);
    const sqlite = new Running('sqlite3', [path.join(a.home, 'adjutant.db'), sql], process.env);
    return assert.equal(await sqlite.end(), 0, sqlite.err);
  }
});

eachBackend('places', (start, backend) => {
  const g = start();

  test(backend === 'sqlite' ? 'one server in a home folder' : 'several servers in a home folder', async () => {
    const port = await freePort();
    const second = run(g, ['serve', '--listen', `127.0.0.1:${port}`]);
    if (backend === 'sqlite') {
      assert.equal(await second.end(), CONFIGURATION);
      assert.match(second.err, /another server already runs/);
    } else {
      await second.sees(/serves on/);
      second.child.kill('SIGTERM');
      assert.equal(await second.end(), OK);
    }
    assert.equal((await g.get('/api/health')).status, 200);
  });

  test('an address that is taken', async () => {
    const home = path.join(g.dir, 'other');
    const { code, stderr } = await g.command(['serve', '--listen', `127.0.0.1:${g.port}`, '--home', home]);
    assert.equal(code, FAILED, stderr);
    assert.match(stderr, /already in use/);
  });

  test('what it says when it is ready', async () => {
    const out = g.output;
    assert.match(out, new RegExp(`serves on http://127.0.0.1:${g.port}`));
    assert.match(out, backend === 'sqlite' ? /SQLite, .*adjutant\.db/ : /PostgreSQL/);
    assert.match(out, /fake-1 of Anthropic/);
    assert.match(out, /adjutant chat --url/);
  });

  test('doctor beside the server, and without it', async () => {
    const args = ['doctor', '--listen', `127.0.0.1:${g.port}`];
    const well = await g.command(args);
    assert.equal(well.code, OK, well.stdout);
    assert.doesNotMatch(well.stdout, /^FAIL/m);
    assert.match(well.stdout, /^ok +model +fake-1 of Anthropic answers$/m);
    assert.match(well.stdout, /^ok +address +a server answers/m);
    if (backend === 'postgres') assert.match(well.stdout, /^(ok|warn) +role +adjutant_gateway/m);
    const wrongKey = await g.command(args, { env: { ANTHROPIC_API_KEY: 'sk-wrong-0123456789' } });
    assert.equal(wrongKey.code, DENIED, wrongKey.stdout);
    assert.match(wrongKey.stdout, /^FAIL +model/m);
    assert.ok(!wrongKey.stdout.includes('sk-wrong'));
    const away = await g.command(args, { env: { ANTHROPIC_BASE_URL: `http://127.0.0.1:${await freePort()}` } });
    assert.equal(away.code, UNREACHABLE, away.stdout);
    fs.chmodSync(g.home, 0o755);
    const open = await g.command(['doctor', '--listen', '127.0.0.1:0']);
    fs.chmodSync(g.home, 0o700);
    assert.match(open.stdout, /^warn +home .*\n +-> chmod 700/m);
  });

  test('a second signal ends it at once', async () => {
    const other = await Adjutant.start({ backend, fake: g.fake });
    const turn = await other.chat('[tokens 1000] [delay 100]', { wait: false });
    assert.ok(turn.turn_id);
    other.program.child.kill('SIGTERM');
    await eventually(() => /stopping/.test(other.program.output), { what: 'the first signal' });
    other.program.child.kill('SIGTERM');
    const end = await within(other.program.ended, 5000);
    assert.deepEqual(end, { code: 128 + 15, signal: null });
  });
});

eachBackend('chat', (start) => {
  const g = start();

  test('a question from a script: only the answer', async () => {
    const c = chat(g, '[reason 5] [say One.] [tool calculate {"expression":"6*7"}] [then] [say It is 42.]');
    assert.equal(await c.end(), OK, c.err);
    assert.equal(c.out, 'One.\n\nIt is 42.\n');
    assert.equal(c.err, '');
  });

  test('a thread goes on by its name', async () => {
    const thread = fresh('cli');
    assert.equal(await chat(g, '--thread', thread, 'my name is Ann').end(), OK);
    const c = chat(g, '--thread', thread, '[echo-messages]');
    assert.equal(await c.end(), OK, c.err);
    assert.match(c.out, /^3 messages/);
    assert.equal((await g.messages(thread)).length, 4);
  });

  test('what fails has a status', async () => {
    const failed = chat(g, '[status 400]');
    assert.equal(await failed.end(), FAILED);
    assert.match(failed.err, /^adjutant: .*Anthropic/);
    assert.equal(failed.out, '');
    const nobody = run(g, ['chat', '--url', `http://127.0.0.1:${await freePort()}`, 'hello']);
    assert.equal(await nobody.end(), UNREACHABLE);
    assert.match(nobody.err, /connect/i);
    if (g.db) {
      const stranger = chat(g, '--key', 'adj_not-a-key', 'hello');
      assert.equal(await stranger.end(), DENIED);
      assert.ok(!stranger.err.includes('not-a-key'));
    }
  });

  test('Ctrl-C cancels, with status 130', async () => {
    const thread = fresh('cli');
    const c = chat(g, '--thread', thread, '[tokens 1000] [delay 50]');
    await eventually(async () => (await g.get(`/api/threads/${thread}`)).json?.open_turn, { what: 'the turn' });
    await sleep(300);
    c.child.kill('SIGINT');
    assert.equal(await c.end(), INTERRUPTED);
    const t = await eventually(async () => {
      const { json } = await g.get(`/api/threads/${thread}`);
      return json.open_turn === null && json;
    }, { what: 'the end of the turn' });
    assert.equal(t.open_turn, null);
  });

  test('an answer survives the death of the server, and is printed once', async () => {
    const words = Array.from({ length: 60 }, (_, i) => `word${i}`).join(' ');
    const c = chat(g, `[delay 40] [say ${words}]`);
    await sleep(900);
    assert.ok(!c.child.exitCode, c.err);
    await g.kill();
    await g.begin();
    assert.equal(await c.end(), OK, c.err);
    assert.equal(c.out, `${words}\n`);
  });

  test('a conversation from a pipe', async () => {
    const c = chat(g);
    c.child.stdin.end('[say first]\n\n/new\n/nonsense\n[say second]\n/threads\n/help\n/quit\n[say never]\n');
    assert.equal(await c.end(), OK, c.err);
    assert.match(c.out, /^first\nsecond\n/);
    assert.match(c.out, /\(this one\)/);
    assert.match(c.out, /\/quit +leaves/);
    assert.doesNotMatch(c.out, /never/);
    assert.match(c.err, /no command \/nonsense/);
  });

  test('a conversation on a terminal', async () => {
    const t = terminal(g);
    await t.sees(/> /);
    t.type('[say hello yu] [reason 3] [tool calculate {"expression":"1+1"}]\x1b[D\r');
    await t.sees(/hello yu/);
    await t.sees(/\x1b\[2m.*calculate → 2[^]*> $/);
    t.type('[tokens 1000] [delay 50]\r');
    await t.sees(/jumps over/);
    t.type('\x03');
    await t.sees(/cancelled[^]*> $/);
    t.type('/threads 1\r');
    await t.sees(/no such number[^]*> $/);
    t.type('/threads\r');
    await t.sees(/\(this one\)[^]*> $/);
    t.type('/threads 1\r');
    await t.sees(/> \[tokens 1000\][^]*> $/);
    t.type('half a line\x03');
    await t.sees(/Ctrl-C again leaves[^]*> $/);
    t.type('\x03');
    assert.equal(await t.end(), INTERRUPTED, t.all);
    const history = fs.readFileSync(path.join(g.home, 'chat_history'), 'utf8');
    assert.match(history, /threads/);
    assert.equal(fs.statSync(path.join(g.home, 'chat_history')).mode & 0o777, 0o600);
  });

  test('what is being answered is followed when its thread is opened', async () => {
    const thread = fresh('cli');
    await g.chat('[delay 60] [say alpha beta gamma delta epsilon zeta eta theta iota kappa omega]', { thread_id: thread, wait: false });
    const c = chat(g, '--thread', thread);
    c.child.stdin.end('/quit\n');
    assert.equal(await c.end(), OK, c.err);
    assert.match(c.out, /alpha beta .*omega\n/);
  });
});
