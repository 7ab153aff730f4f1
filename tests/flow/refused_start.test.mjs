// Starts that cannot succeed: each ends with its own status and a sentence, never with a signal.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Adjutant, BACKENDS, scratch } from './harness.mjs';

describe('a start that cannot succeed', { skip: !BACKENDS.includes('sqlite') }, () => {
  const CONFIGURATION = 3;
  const DATABASE = 4;

  async function start(prepare, listen = '127.0.0.1:0') {
    const a = new Adjutant();
    a.options = { env: {}, provider: 'anthropic' };
    a.home = path.join(scratch(), 'home');
    fs.mkdirSync(a.home, { mode: 0o700 });
    await prepare?.(a);
    const r = await a.command(['serve', '--listen', listen, '--home', a.home]);
    assert.doesNotMatch(r.stderr, /Assertion|Sanitizer|runtime error/);
    return r;
  }

  test('the database is no database', async () => {
    const r = await start((a) => fs.writeFileSync(path.join(a.home, 'adjutant.db'), 'nonsense'.repeat(1000)));
    assert.equal(r.code, DATABASE, r.stderr);
    assert.match(r.stderr, /not a database/);
  });

  test('the database cannot be opened', async () => {
    const r = await start((a) => fs.mkdirSync(path.join(a.home, 'adjutant.db')));
    assert.equal(r.code, DATABASE, r.stderr);
    assert.match(r.stderr, /cannot open the database/);
  });

  test('everybody would be let in', async () => {
    const r = await start(undefined, '0.0.0.0:0');
    assert.ok([CONFIGURATION, DATABASE].includes(r.code), `${r.code} ${r.stderr}`);
    assert.match(r.stderr, /ASSISTANT_API_KEY/);
  });

  test('the address is taken', async () => {
    const other = net.createServer();
    await new Promise((resolve) => { other.listen(0, '127.0.0.1', resolve); });
    const r = await start(undefined, `127.0.0.1:${other.address().port}`);
    other.close();
    assert.equal(r.code, 1, r.stderr);
    assert.match(r.stderr, /already in use/);
  });
});
