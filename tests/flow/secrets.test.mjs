// Planted secrets are searched for wherever something is written down.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { eachBackend, request, sha256 } from './harness.mjs';

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
