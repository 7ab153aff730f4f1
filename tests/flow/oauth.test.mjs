// Servers that ask for OAuth: the way to the user's consent and back, tokens that are renewed once
// for all, what ends for good, and that nobody meets another's tokens.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Adjutant, BACKENDS, createUser, eachBackend, eventually, Fake, McpServer, OAuthServer, request, tools } from './harness.mjs';

const connection = async (u, name, wait = 0) => {
  const r = await u.call('GET', `/api/connections?wait_ms=${wait}`);
  assert.equal(r.status, 200, r.text);
  return r.json.connections.find((c) => c.name === name);
};
const reaches = (u, name, state) => eventually(async () => (await connection(u, name))?.state === state, { what: `${name} ${state}` });
const link = async (u, name) => {
  const r = await u.call('POST', `/api/connections/${name}/authorize`, {});
  assert.equal(r.status, 200, r.text);
  return r.json.url;
};
const notifications = async (u) => (await u.call('GET', '/api/notifications')).json.notifications;
const echo = (u, text, more) => u.chat(`[tool echo {"message":"${text}"}] [then] [echo-results]`, more);

function* files(dir) {
  for (const entry of fs.readdirSync(dir, { withFileTypes: true })) {
    const name = path.join(dir, entry.name);
    if (entry.isDirectory()) yield* files(name);
    else if (entry.isFile()) yield name;
  }
}

eachBackend('oauth', (start, backend) => {
  let as, wiki, calls;
  before(async () => {
    as = await OAuthServer.start();
    wiki = await McpServer.start({ name: 'wiki', tools: [tools.echo, tools.whoami] });
    calls = await McpServer.start({ name: 'calls', era: 'legacy', tools: [{ ...tools.echo, name: 'repeat' }, tools.count] });
    as.guard(wiki);
    as.guard(calls, { only: ['tools/call'], scope: (rpc) => (rpc?.params?.name === 'count' ? 'write' : 'read') });
  });
  after(() => Promise.all([as.stop(), wiki.stop(), calls.stop()]));
  const g = start({
    env: { ADJUTANT_LOG: 'debug' },
    mcp: () => ({ wiki: wiki.definition(), calls: calls.definition(), closed: { ...wiki.definition(), headers: { Authorization: 'Bearer own' } } }),
  });
  let ann, bob;
  const pages = [];
  before(async () => {
    ann = await createUser(g, 'ann');
    bob = await createUser(g, 'bob');
    // An open instance takes some seconds to see that it is open no more.
    await eventually(async () => (await request(g.url, 'GET', '/api/me')).status === 401, { what: 'keys that count' });
  });
  const consent = async (url, account) => {
    const r = await as.consent(url, account);
    const text = await r.text();
    pages.push(text);
    return { status: r.status, text, headers: r.headers };
  };

  test('a server that asks is unauthorized until the user has agreed', async () => {
    await reaches(ann, 'wiki', 'unauthorized');
    const before = await connection(ann, 'wiki');
    assert.equal(before.oauth, true);
    assert.match(before.error, /^wiki needs your permission: open http:\/\/127\.0\.0\.1:\d+\/oauth\/start\?link=/);
    const page = await fetch(before.error.slice(before.error.indexOf('http')));
    const text = await page.text();
    assert.equal(page.status, 200, text);
    assert.match(text, /assistant of ann asks for permission to use wiki/);
    assert.match(page.headers.get('content-security-policy'), /^default-src 'none'/);
    const url = /<a href="([^"]+)">/.exec(text)[1].replaceAll('&amp;', '&');
    assert.ok(url.startsWith(`${as.url}/authorize?`));

    const done = await consent(url, 'ann-at-as');
    assert.equal(done.status, 200, done.text);
    assert.match(done.text, /The assistant of ann can use wiki now\./);
    assert.equal(done.headers.get('referrer-policy'), 'no-referrer');
    await reaches(ann, 'wiki', 'ready');
    wiki.clear();
    const r = await echo(ann, 'hello');
    assert.match(r.message.content, /echo: hello/);
    assert.deepEqual(as.accounts(wiki.requests.filter((q) => q.rpc)), ['ann-at-as']);
  });

  test('another user begins from nothing, and stays apart', async () => {
    await reaches(bob, 'wiki', 'unauthorized');
    assert.equal((await connection(bob, 'wiki')).tools, null);
    await consent(await link(bob, 'wiki'), 'bob-at-as');
    await reaches(bob, 'wiki', 'ready');
    assert.equal(as.registrations, 2, 'each has a client of their own');
    for (const [u, account] of [[ann, 'ann-at-as'], [bob, 'bob-at-as']]) {
      wiki.clear();
      await echo(u, 'mine');
      assert.equal(wiki.executions('echo'), 1);
      assert.deepEqual(as.accounts(wiki.requests), [account]);
    }
  });

  test('a tool that needs a token says so in its result, with a link', async () => {
    await reaches(ann, 'calls', 'ready');
    const refused = await ann.chat('[tool repeat {"message":"x"}] [then] [echo-results]');
    const url = /open (http:\S+\/oauth\/start\?link=[\w-]+)/.exec(refused.message.content)?.[1];
    assert.ok(url, refused.message.content);
    const page = await (await fetch(url)).text();
    await consent(/<a href="([^"]+)">/.exec(page)[1].replaceAll('&amp;', '&'), 'ann-at-as');
    const r = await ann.chat('[tool repeat {"message":"again"}] [then] [echo-results]');
    assert.match(r.message.content, /echo: again/);
  });

  test('ten calls at once renew a token once', async () => {
    as.clear();
    as.tokenDelayMs = 200;
    as.expire();
    const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => ann.chat(`[tool echo {"message":"n${i}"}] [then] [echo-results]`)));
    as.tokenDelayMs = 0;
    answers.forEach((r, i) => assert.match(r.message.content, new RegExp(`echo: n${i}`)));
    assert.deepEqual(as.tokenRequests, ['refresh_token']);
  });

  test('more permissions are asked for when a tool needs them', async () => {
    await ann.call('PUT', '/api/policies', { server: 'calls', tool: '*', policy: 'allow' });
    const refused = await ann.chat('[tool count {}] [then] [echo-results]');
    assert.match(refused.message.content, /calls needs further permissions: open http/);
    const url = await link(ann, 'calls');
    assert.equal(new URL(url).searchParams.get('scope'), 'read write');
    await consent(url, 'ann-at-as');
    const r = await ann.chat('[tool count {}] [then] [echo-results]');
    assert.match(r.message.content, /effect \d/);
    assert.equal(calls.executions('count'), 1);
  });

  test('a restart forgets nothing', async () => {
    as.clear();
    await g.restart();
    await reaches(ann, 'wiki', 'ready');
    assert.match((await echo(ann, 'still')).message.content, /echo: still/);
    assert.deepEqual(as.tokenRequests, []);
  });

  test('what has expired for good is told once', async () => {
    as.revoke('ann-at-as');
    as.clear();
    await Promise.all([1, 2, 3].map((i) => ann.chat(`[tool echo {"message":"${i}"}] [then] [echo-results]`)));
    const told = (await notifications(ann)).filter((n) => /wiki/.test(n.message));
    assert.equal(told.length, 1);
    assert.deepEqual([told[0].priority, told[0].read_at, told[0].from_agent], ['high', null, null]);
    assert.equal(as.tokenRequests.length, 1);
    await reaches(ann, 'wiki', 'unauthorized');
    assert.match((await connection(ann, 'wiki')).error, /wiki needs your permission again/);
    assert.deepEqual(await notifications(bob), []);
    assert.equal((await bob.call('POST', `/api/notifications/${told[0].id}/read`, {})).status, 404);
    assert.equal((await ann.call('POST', `/api/notifications/${told[0].id}/read`, {})).status, 204);
    assert.ok((await notifications(ann)).find((n) => n.id === told[0].id).read_at);
    assert.equal((await echo(bob, 'untouched')).message.content.includes('echo: untouched'), true);

    await consent(await link(ann, 'wiki'), 'ann-at-as');
    await reaches(ann, 'wiki', 'ready');
    const trail = (await g.query("SELECT actor FROM audit WHERE user_id = 'ann' AND subject = 'mcp:wiki' ORDER BY created_at")).map(([actor]) => actor);
    assert.deepEqual(trail, ['ann', 'system', 'ann'], 'consent, its end, consent; nobody does a renewal');
  });

  test('nobody writes an authorization by hand, to send the gateway elsewhere', async () => {
    const elsewhere = await McpServer.start({ name: 'elsewhere' });
    const value = { grant: '0190d5a0-0000-7000-8000-000000000001', url: calls.url, issuer: as.url, client_id: 'c', token_endpoint: elsewhere.url,
      access_token: 'x', refresh_token: 'y', expires_us: 1, clients: [{ issuer: as.url, redirect_uri: `${g.url}/oauth/callback`, client_id: 'c', method: 'none' }] };
    try {
      const put = await bob.call('PUT', '/api/credentials/mcp:calls', { value });
      await reaches(bob, 'calls', 'ready');
      await bob.chat('[tool repeat {"message":"x"}] [then] [echo-results]');
      assert.deepEqual(elsewhere.requests.map((r) => r.text), []);
      assert.equal(put.status, 403);
    } finally {
      await elsewhere.stop();
    }
  });

  test('whoever disconnects is forgotten', async () => {
    assert.equal((await ann.call('DELETE', '/api/credentials/mcp:wiki')).status, 204);
    await reaches(ann, 'wiki', 'unauthorized');
    wiki.clear();
    await connection(ann, 'wiki', 1000);
    assert.deepEqual(as.accounts(wiki.requests.filter((r) => r.headers.authorization)), []);
  });

  test('answers that are not for us change nothing', async () => {
    const url = await link(ann, 'wiki');
    const no = await consent(url, 'nobody');
    assert.equal(no.status, 403);
    assert.match(no.text, /Not connected[\s\S]*the permission was not given/);
    const good = new URL(await as.consent(url, 'ann-at-as', { follow: false }));
    const visit = async (change) => {
      const u = new URL(good);
      change(u.searchParams);
      return (await fetch(u)).status;
    };
    as.clear();
    assert.equal(await visit((p) => p.set('iss', 'https://evil.example')), 400);
    assert.equal(await visit((p) => p.delete('iss')), 400);
    assert.equal(await visit((p) => p.set('state', `${p.get('state').slice(0, -4)}AAAA`)), 400);
    assert.equal(await visit((p) => p.delete('state')), 400);
    assert.equal(await visit((p) => p.delete('code')), 400);
    assert.deepEqual(as.tokenRequests, []);
    await reaches(ann, 'wiki', 'unauthorized');
    assert.equal(await visit(() => {}), 200);
    assert.equal(await visit(() => {}), 200, 'the page, loaded again');
    assert.deepEqual(as.tokenRequests, ['authorization_code']);
    assert.equal((await ann.call('POST', '/api/connections/closed/authorize', {})).status, 404, 'a server with a header of its own');
    assert.equal((await ann.call('POST', '/api/connections/nowhere/authorize', {})).status, 404);
    assert.equal((await request(g.url, 'GET', '/oauth/start?link=forged')).status, 400);
    const document = (await request(g.url, 'GET', '/oauth/client-metadata.json')).json;
    assert.deepEqual(document.redirect_uris, [`${g.url}/oauth/callback`]);
  });

  test('tokens stand in no log, table, file or answer', async () => {
    const answers = [];
    for (const url of ['/api/connections', '/api/credentials', '/api/notifications', '/api/threads', '/metrics']) {
      for (const u of [ann, bob]) answers.push((await u.call('GET', url)).text);
    }
    await g.stop();
    assert.ok(as.given.length > 10);
    const places = {
      log: g.output, answers: answers.join('\n'), pages: pages.join('\n'),
      addresses: [...wiki.requests, ...calls.requests].map((r) => r.path).join('\n'),
      database: backend === 'postgres' ? execFileSync('pg_dump', ['-a', '-d', g.db], { encoding: 'latin1', maxBuffer: 1 << 28 }) : '',
    };
    for (const name of files(g.home)) places[name] = fs.readFileSync(name, 'latin1');
    for (const [place, text] of Object.entries(places)) {
      for (const { token } of as.given) assert.ok(!text.includes(token), `${token.slice(0, 12)}... stands in ${place}`);
    }
    assert.deepEqual(as.violations, []);
    assert.deepEqual([...wiki.violations, ...calls.violations], []);
  });
});

describe('oauth over several processes', { skip: !BACKENDS.includes('postgres') }, () => {
  let fake, as, wiki, a, b;
  before(async () => {
    fake = await Fake.start();
    as = await OAuthServer.start();
    wiki = await McpServer.start({ name: 'wiki', tools: [tools.echo] });
    as.guard(wiki);
    const mcp = { wiki: wiki.definition() };
    a = await Adjutant.start({ backend: 'postgres', fake, mcp });
    b = await Adjutant.start({ backend: 'postgres', fake, mcp, db: a.db, env: { CREDENTIALS_ENCRYPTION_KEY: a.environment().CREDENTIALS_ENCRYPTION_KEY } });
  });
  after(async () => {
    await Promise.all([a?.stop(), b?.stop()]);
    await Promise.all([as.stop(), wiki.stop(), fake.stop()]);
  });
  const users = () => [a, b].map((g) => ({ call: (m, p, body) => g.request(m, p, { body }), chat: (m) => g.chat(m) }));

  test('one makes the link, another takes the callback, both have the token', async () => {
    const [onA, onB] = users();
    const url = await link(onA, 'wiki');
    const location = new URL(await as.consent(url, 'me-at-as', { follow: false }));
    assert.equal((await fetch(new URL(location.pathname + location.search, b.url))).status, 200);
    for (const u of [onA, onB]) await reaches(u, 'wiki', 'ready');
    for (const u of [onA, onB]) assert.match((await echo(u, 'both')).message.content, /echo: both/);
  });

  test('both renew at once, and neither loses', async () => {
    const [onA, onB] = users();
    for (let i = 0; i < 5; i++) {
      as.expire();
      as.tokenDelayMs = 50 * i;
      const answers = await Promise.all([echo(onA, 'a'), echo(onB, 'b')]);
      assert.match(answers[0].message.content, /echo: a/);
      assert.match(answers[1].message.content, /echo: b/);
    }
    assert.deepEqual(await notifications(onA), []);
  });
});
