// Planted secrets are searched for wherever something is written down.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { eachBackend, eventually, request, sha256 } from './harness.mjs';

const PLANTED = {
  gateway: 'planted-gateway-key-7c1f9a52',
  provider: 'sk-planted-provider-key-90ab34cd',
  wrong: 'planted-wrong-guess-55aa11ee',
  password: 'planted-db-password-31f0',
};

function* files(dir) {
  for (const entry of fs.readdirSync(dir, { withFileTypes: true })) {
    const name = path.join(dir, entry.name);
    if (entry.isDirectory()) yield* files(name);
    else if (entry.isFile()) yield name;
  }
}

eachBackend('secrets', (start, backend) => {
  const g = start({
    key: PLANTED.gateway, fakeOptions: { key: PLANTED.provider },
    env: { ASSISTANT_API_KEY: PLANTED.gateway, ADJUTANT_LOG: 'debug' },
  });

  test('stand in no log, no table, no file, no answer', async () => {
    const answers = [];
    const ask = async (method, url, options) => answers.push(await request(g.url, method, url, options));
    const headers = { 'X-API-Key': PLANTED.gateway };
    if (backend === 'postgres') {
      g.db = g.db.replace('postgres@', `postgres:${PLANTED.password}@`);
      await g.restart();
    }
    await ask('GET', `/api/me?api_key=${PLANTED.gateway}`);
    await ask('GET', `/api/threads?limit=5&api_key=${PLANTED.gateway}&x=1`);
    await ask('GET', '/api/me', { headers: { Authorization: `Bearer ${PLANTED.wrong}` } });
    await ask('GET', `/nothing/${PLANTED.gateway}?api_key=${PLANTED.wrong}`);
    await ask('POST', '/api/login', { body: { key: PLANTED.gateway } });
    await ask('POST', '/api/login', { body: { key: PLANTED.wrong } });
    await ask('POST', '/api/chat', { headers, body: { message: '[tool current_time {}]' } });
    await ask('POST', '/api/chat', { headers, body: { message: '[status 401]' } });
    await ask('POST', '/api/chat', { headers, body: { message: '[status 500]' } });
    await ask('POST', `/v1/chat/completions?api_key=${PLANTED.gateway}`, { body: { model: 'adjutant', messages: [{ role: 'user', content: '[drop]' }] } });
    for (const url of ['/api/health', '/metrics', '/api/openapi.json', '/api/models', '/api/usage']) await ask('GET', url, { headers });
    assert.ok(answers.filter((r) => r.status === 200).length > 5);
    const doctor = await g.command(['doctor']);
    const help = await g.command(['serve', '--help']);
    await g.stop();

    assert.equal(sha256(PLANTED.provider), (await g.fake.requests(1))[0].headers.key_sha256, 'the provider\'s key was used');
    const places = {
      log: g.output,
      answers: answers.map((r) => r.text + JSON.stringify(r.headers)).join('\n').replaceAll(`/nothing/${PLANTED.gateway}`, ''),
      doctor: doctor.stdout + doctor.stderr + help.stdout,
      database: backend === 'postgres'
        ? execFileSync('pg_dump', ['-a', '-d', g.db], { encoding: 'latin1', maxBuffer: 1 << 28 }) : '',
    };
    for (const name of files(g.home)) places[name] = fs.readFileSync(name, 'latin1');
    for (const [place, text] of Object.entries(places)) {
      for (const [name, secret] of Object.entries(PLANTED)) {
        if (place === 'log' && name === 'gateway') { // the path of a request is logged, and may hold anything
          assert.ok(!text.replaceAll(`/nothing/${secret}`, '').includes(secret), `${name} in ${place}`);
          continue;
        }
        assert.ok(!text.includes(secret), `the ${name} secret stands in ${place}`);
      }
    }
  });

  test('the home folder is its owner\'s alone', () => {
    assert.equal(fs.statSync(g.home).mode & 0o077, 0);
    for (const name of files(g.home)) assert.equal(fs.statSync(name).mode & 0o077, 0, name);
  });
});

const VAULT = {
  token: 'ya29.planted-google-token-4b1d7e',
  ann: 'sk-planted-key-of-ann-77c0ffee',
  refused: 'nonsense-planted-refused-key-0badc0de',
  lost: 'sk-planted-key-for-nowhere-5ca1ab1e',
  piped: 'planted-value-from-the-pipe-d15ea5e',
  encryption: 'cGxhbnRlZCBrZXkgb2YgdGhlIHZhdWx0LCAzMiBieXQ=',
  encryptionOld: 'planted-older-passphrase-of-the-vault',
};
/** As they are, as the bytes they stand for, and as others might write them. */
const FORMS = Object.entries(VAULT).flatMap(([name, value]) => {
  const bytes = Buffer.from(value);
  const forms = [bytes, Buffer.from(bytes.toString('base64').slice(0, -4)), Buffer.from(bytes.toString('hex'))];
  if (name === 'encryption') forms.push(Buffer.from(value, 'base64'));
  return forms.map((form) => [name, form]);
});

function searchIn(place, bytes, except = []) {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes, 'utf8');
  for (const [name, form] of FORMS) {
    if (!except.includes(name)) assert.ok(!buffer.includes(form), `the ${name} secret stands in ${place}`);
  }
}

/** What a core dump of the process would hold: its memory, without the pages that are left out. */
function* dumpable(pid) {
  const mappings = fs.readFileSync(`/proc/${pid}/smaps`, 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const memory = fs.openSync(`/proc/${pid}/mem`);
  try {
    for (const m of mappings) {
      const [, from, to, permissions] = /^([0-9a-f]+)-([0-9a-f]+) (\S+)/.exec(m);
      const resident = Number(/^Rss:\s+(\d+)/m.exec(m)?.[1] ?? 0);
      if (permissions[0] !== 'r' || resident === 0 || / dd\b/.test(/^VmFlags:.*$/m.exec(m)?.[0] ?? '')) continue;
      const size = Number(BigInt(`0x${to}`) - BigInt(`0x${from}`));
      const bytes = Buffer.alloc(size);
      try {
        fs.readSync(memory, bytes, 0, size, BigInt(`0x${from}`));
      } catch {
        continue; // not memory of its own: the kernel's pages
      }
      yield [m.split('\n')[0], bytes];
    }
  } finally {
    fs.closeSync(memory);
  }
}

eachBackend('secrets of users', (start, backend) => {
  const env = {
    ASSISTANT_API_KEY: PLANTED.gateway, ADJUTANT_LOG: 'debug',
    CREDENTIALS_ENCRYPTION_KEY: VAULT.encryption, CREDENTIALS_ENCRYPTION_KEY_OLD: VAULT.encryptionOld,
  };
  const g = start({ key: PLANTED.gateway, fakeOptions: { args: ['--key', 'sk-*'] }, env: (fake) => ({ ...fake.everything(), ...env }) });
  const answers = [];
  let headers;
  const ask = async (method, url, body, status = 200) => {
    const r = await request(g.url, method, url, { headers, body });
    assert.equal(r.status, status, `${method} ${url}: ${r.text}`);
    answers.push(r);
    return r;
  };

  test('are used, refused, lost and replaced', async () => {
    const key = await g.command(['keys', 'create', '--user', 'ann', '--role', 'admin']);
    headers = { 'X-API-Key': key.stdout.trim() };
    await g.restart({ CREDENTIALS_ENCRYPTION_KEY: VAULT.encryptionOld, CREDENTIALS_ENCRYPTION_KEY_OLD: '' });
    await ask('PUT', '/api/credentials/google', { value: { access_token: VAULT.token, 'sk': { deep: [VAULT.token] } }, scopes: ['a'] });
    await g.restart();
    await ask('PUT', '/api/credentials/llm_anthropic', { value: { api_key: VAULT.refused } }, 400);
    await ask('PUT', '/api/credentials/llm_anthropic', { value: { api_key: VAULT.ann } });
    const lost = await ask('PUT', '/api/credentials/llm_openai', { value: { api_key: VAULT.lost, base_url: 'http://127.0.0.1:1/v1' } });
    assert.equal(lost.json.unverified, true);
    await ask('PUT', '/api/credentials/x', { value: VAULT.token }, 400);
    await ask('PUT', '/api/credentials/Bad', { value: { a: VAULT.token } }, 400);
    const turn = await ask('POST', '/api/chat', { message: '[tool current_time {}]' });
    assert.equal((await g.fake.requests(1))[0].headers.key_sha256, sha256(VAULT.ann));
    for (const message of ['[status 401]', '[status 500]', '[drop]']) await ask('POST', '/api/chat', { message });
    assert.equal((await ask('POST', '/api/chat', { message: 'hi', model: 'openai:fake-1' })).json.state, 'failed');
    for (const url of [`/api/turns/${turn.json.turn_id}/events`, '/api/credentials', '/api/models', '/api/usage', '/metrics', '/api/me', '/api/admin/audit', '/api/threads', `/api/threads/${turn.json.thread_id}/checkpoints`]) {
      await ask('GET', url);
    }
    const commands = [
      await g.command(['vault', 'put', 'splitwise', '--user', 'ann'], { input: JSON.stringify({ api_key: VAULT.piped }) }),
      await g.command(['vault', 'put', 'llm_openai', '--user', 'ann'], { input: JSON.stringify({ api_key: VAULT.refused }) }),
      await g.command(['vault', 'put', 'splitwise', '--user', 'ann'], { input: `not json ${VAULT.piped}` }),
      await g.command(['vault', 'list', '--user', 'ann']), await g.command(['vault', 'status']), await g.command(['doctor']),
    ];
    assert.deepEqual(commands.map((c) => c.code).slice(0, 5), [0, 1, 1, 0, 0]);
    searchIn('what commands print', commands.map((c) => c.stdout + c.stderr).join('\n'));
    searchIn('answers', answers.map((r) => r.text + JSON.stringify(r.headers)).join('\n'));
    searchIn('the log', g.output);
  });

  test('are in no memory that a core dump would show, nor in the environment', { skip: /asan/.test(process.env.ADJUTANT_BUILD ?? 'asan') || process.env.ADJUTANT_WRAPPER }, async (t) => {
    if (/libasan|libclang_rt|valgrind/.test(fs.readFileSync(`/proc/${g.program.pid}/maps`, 'utf8'))) {
      t.skip('a sanitizer keeps freed memory');
      return;
    }
    await eventually(() => { // what is on its way is wiped when it has arrived
      let finds = false;
      for (const [name, bytes] of dumpable(g.program.pid)) {
        searchIn(`memory ${name}`, bytes);
        finds ||= bytes.includes(`${g.home}/credentials.key`);
      }
      assert.ok(finds, 'what is no secret is found');
      return true;
    }, { deadlineMs: 20_000, everyMs: 500, what: 'memory without secrets' });
    searchIn('/proc/environ', fs.readFileSync(`/proc/${g.program.pid}/environ`));
  });

  test('are in no file and no table', async () => {
    const live = [...files(g.home)].map((name) => [name, fs.readFileSync(name)]); // with the write-ahead log
    assert.ok(backend === 'postgres' || live.some(([name]) => name.endsWith('-wal')));
    await g.command(['vault', 'rotate']);
    await g.stop();
    for (const name of files(g.home)) live.push([name, fs.readFileSync(name)]);
    for (const [name, bytes] of live) searchIn(name, bytes);
    searchIn('the log', g.output);
    if (backend === 'postgres') {
      searchIn('the database', execFileSync('pg_dump', ['-d', g.db], { maxBuffer: 1 << 28 }));
      const [[directory]] = await g.query('SHOW data_directory');
      let names = [];
      try {
        names = fs.readdirSync(path.join(directory, 'pg_wal')).filter((n) => /^[0-9A-F]{24}$/.test(n));
      } catch { /* another user's */ }
      for (const name of names) searchIn(`pg_wal/${name}`, fs.readFileSync(path.join(directory, 'pg_wal', name)));
    } else {
      searchIn('the database', execFileSync('sqlite3', [path.join(g.home, 'adjutant.db'), '.dump'], { maxBuffer: 1 << 28 }));
    }
  });
});
