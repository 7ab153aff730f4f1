// The web app as the program serves it: where it is, how it is cached, and what it may do in a browser.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import zlib from 'node:zlib';
import { begin, eachBackend } from './harness.mjs';

const POLICY = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data: blob:", "connect-src 'self'", "font-src 'self'",
  "manifest-src 'self'", "worker-src 'self'", "media-src 'self' blob:", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'",
  "require-trusted-types-for 'script'", 'trusted-types svelte-trusted-html dompurify adjutant-markdown adjutant-worker',
].join('; ');

const PAGES = ['/', '/t/0199-abc', '/t/a%20b', '/settings', '/settings/usage', '/admin', '/admin/users', '/welcome', '/login', '/?x=1'];

/** The bytes as they came, with status and headers. */
async function get(g, path, headers = {}, method = 'GET') {
  const response = await begin(g.url, method, path, { headers });
  const chunks = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) };
}

eachBackend('web', (start) => {
  const g = start({ key: 'operator-key', env: { ASSISTANT_API_KEY: 'operator-key' } });
  let page, script;

  test('every route of the app is its page, without a key', async () => {
    page = await get(g, '/');
    assert.equal(page.status, 200);
    assert.match(page.body.toString(), /^<!doctype html>/i);
    for (const path of PAGES) {
      const r = await get(g, path);
      assert.deepEqual([path, r.status, r.headers['content-type']], [path, 200, 'text/html; charset=utf-8']);
      assert.equal(r.headers.etag, page.headers.etag, path);
      assert.equal(r.headers['cache-control'], 'no-cache', path);
      assert.equal(r.headers['content-security-policy'], POLICY, path);
      assert.deepEqual(r.body, page.body, path);
    }
  });

  test('the page says what it may do', async () => {
    for (const path of ['/', script ??= page.body.toString().match(/src="(\/static\/[^"]+\.js)"/)[1]]) {
      const { headers } = await get(g, path);
      assert.equal(headers['x-content-type-options'], 'nosniff', path);
      assert.equal(headers['referrer-policy'], 'no-referrer', path);
      assert.equal(headers['cross-origin-opener-policy'], 'same-origin', path);
      assert.equal(headers['cross-origin-resource-policy'], 'same-origin', path);
      assert.match(headers['permissions-policy'], /camera=\(self\), microphone=\(\)/, path);
    }
  });

  test('nothing stands inline in the page, and nothing comes from elsewhere', () => {
    const html = page.body.toString();
    assert.doesNotMatch(html, /<script(?![^>]*\ssrc=)/);
    assert.doesNotMatch(html, /<style|\sstyle=|\son[a-z]+=/);
    assert.doesNotMatch(html, /(src|href)="(?!\/)/);
  });

  test('every file the page names is there, those with a hash for ever', async () => {
    const names = [...page.body.toString().matchAll(/(?:src|href)="(\/[^"]*)"/g)].map((m) => m[1]);
    assert.ok(names.length >= 2, `${names}`);
    for (const name of names) {
      const r = await get(g, name);
      assert.equal(r.status, 200, name);
      const hashed = /-[0-9a-f]{8,}\./.test(name);
      assert.equal(r.headers['cache-control'], hashed ? 'public, max-age=31536000, immutable' : 'no-cache', name);
    }
    assert.ok(names.some((name) => /-[0-9a-f]{8,}\.js$/.test(name)), 'the script has a hash in its name');
  });

  test('files come as the browser takes them', async () => {
    const plain = await get(g, script);
    const gzip = await get(g, script, { 'Accept-Encoding': 'gzip, deflate' });
    const brotli = await get(g, script, { 'Accept-Encoding': 'gzip, deflate, br, zstd' });
    assert.equal(plain.headers['content-encoding'], undefined);
    assert.equal(gzip.headers['content-encoding'], 'gzip');
    assert.equal(brotli.headers['content-encoding'], 'br');
    assert.deepEqual(zlib.gunzipSync(gzip.body), plain.body);
    assert.deepEqual(zlib.brotliDecompressSync(brotli.body), plain.body);
    assert.ok(brotli.body.length < gzip.body.length && gzip.body.length < plain.body.length);
    assert.equal(new Set([plain, gzip, brotli].map((r) => r.headers.etag)).size, 3, 'a tag for each');
    for (const r of [plain, gzip, brotli]) assert.equal(r.headers.vary, 'Accept-Encoding');
  });

  test('what the browser has is not sent again', async () => {
    for (const path of ['/', '/settings/usage', script]) {
      const { headers } = await get(g, path, { 'Accept-Encoding': 'br' });
      const again = await get(g, path, { 'Accept-Encoding': 'br', 'If-None-Match': headers.etag });
      assert.deepEqual([again.status, again.body.length], [304, 0], path);
      assert.equal(again.headers['content-security-policy'], POLICY, path);
    }
    const head = await get(g, script, {}, 'HEAD');
    assert.equal(head.status, 200);
    assert.ok(Number(head.headers['content-length']) > 0);
  });

  test('what is not there is never the page', async () => {
    const paths = ['/static/assets/index-0123456789.js', '/static/', '/static', '/static/assets/', '/static/..%2findex.html', '/static/index.html.gz',
      '/t', '/t/', '/t/a/b', '/settings/', '/settings/a/b', '/index.html', '/nothing', '/apis', '/.well-known/change-password'];
    for (const path of paths) {
      const r = await get(g, path, { Accept: 'text/html' });
      assert.ok(r.status === 404 || r.status === 400, `${path}: ${r.status}`);
      assert.equal(r.headers['content-type'], 'application/problem+json', path);
    }
    for (const path of ['/', '/t/x', script]) assert.equal((await get(g, path, {}, 'POST')).status, 405, path);
  });

  test('the API stays closed behind it', async () => {
    assert.equal((await get(g, '/api/threads')).status, 401);
    assert.equal((await get(g, '/api/openapi.json')).status, 401);
  });
});
