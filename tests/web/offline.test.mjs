// The installed app: it opens without a network, keeps nothing of anybody's, and an update breaks no open tab.
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { eventually, suite, visit, webtest } from './harness.mjs';

const cutOff = /Failed to load resource|WebSocket connection to|ERR_CONNECTION_REFUSED|net::ERR/;

/** Waits until a worker has the page. */
const controlled = (page) => page.waitForFunction(() => navigator.serviceWorker.controller?.state === 'activated', undefined, { timeout: 30_000 });
const caches_ = (page) => page.evaluate(async () => Object.fromEntries(await Promise.all((await caches.keys()).map(async (name) =>
  [name, (await (await caches.open(name)).keys()).map((request) => new URL(request.url).pathname).sort()]))));
const composer = (page) => page.getByRole('textbox', { name: 'Message' });

suite('offline', (start) => {
  const g = start();

  webtest('it can be installed', g, async ({ page }) => {
    const manifest = await page.evaluate(async () => (await fetch(document.querySelector('link[rel=manifest]').href)).json());
    assert.deepEqual([manifest.start_url, manifest.scope, manifest.display], ['/', '/', 'standalone']);
    for (const icon of [...manifest.icons, ...manifest.shortcuts.flatMap((s) => s.icons)]) {
      const drawn = await page.evaluate(async ({ src }) => {
        const image = new Image();
        image.src = src;
        await image.decode();
        return `${image.naturalWidth}x${image.naturalHeight}`;
      }, icon);
      if (icon.sizes !== 'any') assert.equal(drawn, icon.sizes, icon.src);
    }
    assert.equal((await page.request.get(`${g.url}/apple-touch-icon.png`)).status(), 200);
    assert.equal((await page.request.get(`${g.url}/favicon.ico`)).status(), 200);
    const cdp = await page.context().newCDPSession(page);
    const { installabilityErrors } = await cdp.send('Page.getInstallabilityErrors');
    assert.deepEqual(installabilityErrors.filter((e) => e.errorId !== 'in-incognito'), []);
  });

  webtest('the app opens while the gateway is away, and has kept no data', g, async ({ page, g: gate }) => {
    await composer(page).fill('[say a secret answer]');
    await page.keyboard.press('Enter');
    await page.getByText('a secret answer', { exact: true }).waitFor();
    const thread = page.url();
    await controlled(page);
    const [[, kept], ...others] = Object.entries(await caches_(page));
    assert.deepEqual(others, []);
    assert.ok(kept.includes('/') && kept.some((path) => /\/Settings-[0-9a-f]+\.js$/.test(path)), `${kept}`);
    assert.deepEqual(kept.filter((path) => path !== '/' && !path.startsWith('/static/')), []);
    page.expected.push(cutOff);
    await gate.stop();
    for (const address of ['/', '/settings/usage', new URL(thread).pathname]) {
      await page.goto(gate.url + address);
      await page.waitForFunction(() => document.querySelector('#app')?.textContent.trim().length > 0);
      assert.equal(await page.title().then((t) => t.includes('Adjutant')), true, address);
    }
    await assert.rejects(page.evaluate(() => fetch('/api/threads').then((r) => r.status)), 'the API is never answered from a cache');
    await gate.begin();
    await page.goto(thread);
    await page.getByText('a secret answer', { exact: true }).waitFor();
  });
});

/** The gateway behind a proxy that changes what is served: `served(path, body)` gives another body, or null for 404;
 * `asked(path)` where it is asked for. */
async function proxy(g) {
  const state = { served: (_path, body) => body, asked: (path) => path };
  const server = http.createServer((request, response) => {
    const upstream = http.request(g.url + state.asked(request.url), { method: request.method, headers: { ...request.headers, 'accept-encoding': 'identity' } }, async (answer) => {
      const headers = { ...answer.headers };
      if (!/javascript|html/.test(headers['content-type'] ?? '')) {
        response.writeHead(answer.statusCode, headers);
        answer.pipe(response);
        return;
      }
      const chunks = [];
      for await (const chunk of answer) chunks.push(chunk);
      const body = state.served(request.url, Buffer.concat(chunks).toString());
      delete headers['content-length'];
      delete headers.etag;
      response.writeHead(body === null ? 404 : answer.statusCode, headers);
      response.end(body ?? '');
    });
    upstream.on('error', () => response.destroy());
    request.pipe(upstream);
  });
  server.on('upgrade', (request, socket, head) => {
    const { port, hostname } = new URL(g.url);
    const upstream = net.connect(port, hostname, () => {
      upstream.write(`GET ${request.url} HTTP/1.1\r\n${request.rawHeaders.map((v, i) => (i % 2 ? `${v}\r\n` : `${v}: `)).join('')}\r\n`);
      upstream.write(head);
      upstream.pipe(socket).pipe(upstream);
    });
    for (const one of [upstream, socket]) one.on('error', () => { upstream.destroy(); socket.destroy(); });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  state.url = `http://127.0.0.1:${server.address().port}`;
  state.close = () => { server.close(); server.closeAllConnections(); };
  return state;
}

suite('versions', (start) => {
  const g = start();

  webtest('an update breaks no open tab, and half an update is none', g, async () => {
    const p = await proxy(g);
    const page = await visit({ url: p.url });
    try {
      await composer(page).waitFor();
      await controlled(page);
      const [first] = Object.keys(await caches_(page));
      const settings = (await caches_(page))[first].find((path) => /\/Settings-[0-9a-f]+\.js$/.test(path));
      const update = () => page.evaluate(async () => {
        const registration = await navigator.serviceWorker.getRegistration();
        await registration.update();
        const worker = registration.installing;
        if (!worker) return 'none';
        return new Promise((resolve) => {
          worker.addEventListener('statechange', () => ['activated', 'redundant'].includes(worker.state) && resolve(worker.state));
        });
      });

      const renamed = settings.replace(/-[0-9a-f]+/, '-ffffffffff');
      p.asked = (path) => path.replace(renamed, settings);
      // The worker is of the new version, the page still of the old one.
      const newer = (path, body) => {
        if (path === '/sw.js') return body.replaceAll(first.slice('shell-'.length), 'ffffffffffff').replaceAll(settings, renamed);
        return path === settings ? null : body;
      };
      p.served = (path, body) => {
        if (path === '/') return body.replace(/assets\/index-[0-9a-f]+\.js/, 'assets/index-eeeeeeeeee.js');
        return newer(path, body);
      };
      assert.equal(await update(), 'redundant');
      assert.equal(await page.evaluate(() => navigator.serviceWorker.controller.state), 'activated');

      // Now all of it is new, and the part that the open tab has not loaded yet is gone from the server.
      p.served = newer;
      assert.equal(await update(), 'activated');
      await page.getByText('There is a new version of Adjutant.').waitFor();
      await eventually(async () => Object.keys(await caches_(page)).includes('shell-ffffffffffff'), { what: 'the new cache' });
      assert.equal(await page.evaluate((path) => fetch(path, { cache: 'no-store' }).then((r) => r.status), settings), 200, 'from the older cache');
      await page.evaluate(() => { history.pushState({}, '', '/settings/usage'); dispatchEvent(new PopStateEvent('popstate')); });
      await page.getByRole('heading', { name: 'Usage' }).first().waitFor();
      assert.deepEqual(page.complaints.filter((line) => !cutOff.test(line) && !/another version|ServiceWorker/.test(line)), []);
    } finally {
      await page.context().close();
      p.close();
    }
  });
});
