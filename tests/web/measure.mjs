// What the app costs a slow phone: `make bench-web` prints a table. CPU throttled 4 times, 1.6 Mbit/s,
// 150 ms of latency (as Lighthouse's mobile profile has them); the median of RUNS.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { Adjutant, browser, Fake, introduce, PHONE } from './harness.mjs';

const RUNS = Number(process.env.RUNS ?? 5);
const TOKENS = 1000;

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const rows = [];
const report = (what, value, unit, limit) => {
  rows.push({ what, value: `${Math.round(value * 10) / 10} ${unit}`, limit: limit ? `${limit} ${unit}` : '', held: limit ? (value <= limit ? 'yes' : 'NO') : '' });
};

async function slowPhone() {
  const context = await (await browser()).newContext(PHONE);
  const page = await context.newPage();
  const cdp = await context.newCDPSession(page);
  await cdp.send('Performance.enable');
  await page.addInitScript(() => {
    globalThis.longTasks = [];
    new PerformanceObserver((list) => longTasks.push(...list.getEntries().map((e) => e.duration))).observe({ type: 'longtask', buffered: true });
  });
  return { page, cdp, context };
}

async function throttle(cdp, { network = true } = {}) {
  await cdp.send('Emulation.setCPUThrottlingRate', { rate: 4 });
  if (!network) return;
  await cdp.send('Network.enable');
  await cdp.send('Network.emulateNetworkConditions', { offline: false, latency: 150, downloadThroughput: 1.6e6 / 8, uploadThroughput: 750e3 / 8 });
}

async function metrics(cdp) {
  const { metrics: list } = await cdp.send('Performance.getMetrics');
  return Object.fromEntries(list.map(({ name, value }) => [name, value * 1000]));
}

const composer = (page) => page.getByRole('textbox', { name: 'Message' });

async function firstVisit(g) {
  const { page, cdp, context } = await slowPhone();
  await throttle(cdp);
  const started = Date.now();
  await page.goto(g.url, { waitUntil: 'commit' });
  await composer(page).waitFor();
  await page.waitForFunction(() => document.querySelector('textarea')?.disabled === false);
  const interactive = Date.now() - started;
  const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime
    ?? performance.getEntriesByName('first-paint')[0]?.startTime);
  const bytes = await page.evaluate(() => performance.getEntriesByType('resource').reduce((sum, e) => sum + e.transferSize, 0));
  await context.close();
  return { paint, interactive, bytes };
}

/** A thousand tokens of markdown, as fast as models are today (100 a second). */
function markdown() {
  const section = (n) => `## Part ${n}\n\nSome **words** with \`code\`, a [link](https://example.com/${n}) and *stress*, then more of them to fill the line.\n\n- one item\n- another item with **bold**\n\n\`\`\`js\nconst answer = ${n} * 7;\nconsole.log(answer);\n\`\`\`\n\n| a | b |\n|---|---|\n| ${n} | two words |\n\n`;
  let text = '';
  for (let n = 1; text.split(/\s+/).length < TOKENS; n++) text += section(n);
  return text;
}

async function streaming(g) {
  const { page, cdp, context } = await slowPhone();
  await page.goto(g.url);
  await composer(page).fill('[first 300] stream a long answer');
  await throttle(cdp, { network: false });
  await page.evaluate(() => { longTasks.length = 0; });
  const before = await metrics(cdp);
  await page.keyboard.press('Control+Enter');
  await page.getByRole('button', { name: 'Send' }).click({ timeout: 500 }).catch(() => {});
  // Looked for seldom: a look at each frame would be a good part of what is measured.
  await page.waitForFunction(() => document.querySelector('main')?.textContent.includes('The very end.'), undefined, { timeout: 60_000, polling: 500 });
  await page.waitForTimeout(500);
  const after = await metrics(cdp);
  const longest = Math.max(0, ...await page.evaluate(() => longTasks));
  await context.close();
  return { script: after.ScriptDuration - before.ScriptDuration, task: after.TaskDuration - before.TaskDuration, longest };
}

async function longThread(g, threadId) {
  const { page, cdp, context } = await slowPhone();
  await page.goto(g.url);
  await composer(page).waitFor();
  await throttle(cdp, { network: false });
  const opened = await page.evaluate((address) => new Promise((resolve) => {
    const started = performance.now();
    const seen = () => (document.querySelector('main')?.textContent.includes('answer number 999') ? requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - started))) : setTimeout(seen, 20));
    const link = document.createElement('a');
    link.href = address;
    document.body.append(link);
    link.click();
    seen();
  }), `/t/${threadId}`);
  await page.evaluate(() => { longTasks.length = 0; });
  const frames = await page.evaluate(() => new Promise((resolve) => {
    const scroller = [...document.querySelectorAll('*')].find((e) => e.scrollHeight > e.clientHeight + 500 && /auto|scroll/.test(getComputedStyle(e).overflowY)) ?? document.scrollingElement;
    const gaps = [];
    let last = performance.now();
    const step = (now) => {
      gaps.push(now - last);
      last = now;
      scroller.scrollTop -= 120;
      if (gaps.length < 300) requestAnimationFrame(step);
      else resolve(gaps.slice(1));
    };
    requestAnimationFrame(step);
  }));
  await context.close();
  return { opened, slow: frames.filter((gap) => gap > 50).length / frames.length * 100 };
}

async function makeLongThread(g) {
  let threadId;
  for (let n = 0; n < 1000; n++) {
    const r = await g.chat(`[say This is **answer number ${n}**, with a list:\n\n- one\n- two\n\nand \`code\`.]`, threadId ? { thread_id: threadId } : {});
    threadId = r.thread_id;
  }
  return threadId;
}

/** Bytes on the wire of what the page's head names. */
async function packed(g, address, encoding) {
  const { body } = await new Promise((resolve, reject) => http.get(g.url + address, { headers: { 'Accept-Encoding': encoding } }, (r) => {
    const chunks = [];
    r.on('data', (chunk) => chunks.push(chunk)).on('end', () => resolve({ body: Buffer.concat(chunks) }));
  }).on('error', reject));
  return body.length;
}

async function sizes(g) {
  const html = await (await fetch(g.url)).text();
  const named = [...html.matchAll(/(?:src|href)="(\/static\/assets\/[^"]+\.(?:js|css))"/g)].map((m) => m[1]);
  for (const [what, extension, limit] of [['main bundle', '.js', 90], ['styles', '.css']]) {
    for (const encoding of ['gzip', 'br']) {
      let sum = 0;
      for (const address of named.filter((a) => a.endsWith(extension))) sum += await packed(g, address, encoding);
      report(`${what}, ${encoding}`, sum / 1000, 'kB', encoding === 'gzip' ? limit : undefined);
    }
  }
}

const folder = fs.mkdtempSync('/tmp/adjutant-measure-');
fs.writeFileSync(path.join(folder, 'scenes'), `=== stream a long answer\n[delay 10][verbatim]${markdown()}The very end.\n`);
const fake = await Fake.start({ args: ['--scenes', path.join(folder, 'scenes')] });
const g = await Adjutant.start({ backend: 'sqlite', fake });
try {
  await sizes(g);
  await introduce(g);
  const visits = [], streams = [], threads = [];
  const long = await makeLongThread(g);
  for (let run = 0; run < RUNS; run++) {
    visits.push(await firstVisit(g));
    streams.push(await streaming(g));
    threads.push(await longThread(g, long));
  }
  report('first paint', median(visits.map((v) => v.paint)), 'ms', 1200);
  report('ready to type', median(visits.map((v) => v.interactive)), 'ms', 2000);
  report('bytes of the first visit', median(visits.map((v) => v.bytes)) / 1000, 'kB');
  report(`scripting for ${TOKENS} tokens`, median(streams.map((s) => s.script)), 'ms', 1600);
  report('all main-thread work for them', median(streams.map((s) => s.task)), 'ms');
  report('longest task while they stream', median(streams.map((s) => s.longest)), 'ms', 100);
  report('a thread of 2,000 messages opens', median(threads.map((t) => t.opened)), 'ms', 500);
  report('frames above 50 ms while it scrolls', median(threads.map((t) => t.slow)), '%');
  console.table(rows);
} finally {
  await g.stop();
  await fake.stop();
  await (await browser()).close();
  fs.rmSync(folder, { recursive: true, force: true });
}
process.exit(0);
