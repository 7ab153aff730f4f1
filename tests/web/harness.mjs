// What every test of the web app begins with: the real gateway with a fake model behind it, and a
// page of a real browser that fails its test when anything is written to the console as an error,
// thrown, or refused by the content security policy.
//
//   suite('chat', (start) => {
//     const g = start();
//     webtest('an answer streams', g, async ({ page }) => { ... });
//   });
//
// Environment: ADJUTANT_BUILD as for the flow tests, CHROMIUM (/usr/bin/chromium), SHOW=1 (a window).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { gateway } from '../flow/harness.mjs';

export { Adjutant, createUser, eventually, Fake, fresh, McpServer, OAuthServer, scratch, sleep, Socket, tools } from '../flow/harness.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FAILURES = path.join(ROOT, 'build/test-logs/web');
const SCENES = path.join(ROOT, 'tests/fake/scenes.txt');
const ACTION_MS = 30_000; // of a machine that is busy with other things, too

export const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
export const DESKTOP = { viewport: { width: 1280, height: 800 } };

let shared;
/** One browser a process. */
export async function browser() {
  shared ??= chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: !process.env.SHOW,
    env: { ...process.env, FONTCONFIG_FILE: path.join(ROOT, 'tests/web/fonts.conf') },
    args: ['--disable-gpu', ...(process.getuid() === 0 ? ['--no-sandbox'] : [])],
  });
  return shared;
}
after(async () => { await (await shared)?.close(); });

/** Gateways of the suite: SQLite, a fake model that knows the scenes, and a user who has been here before. */
export function suite(name, body) {
  describe(name, { concurrency: 1 }, () => body((options = {}) => gateway({
    backend: 'sqlite', fakeOptions: { args: ['--scenes', SCENES] }, ...options,
    env: { TITLE_MODEL: '', ...options.env },
  })));
}

/** Says who the user is, so that the first run does not ask. */
export async function introduce(g, profile = { name: 'Robin', time_zone: 'Europe/Zurich', about: 'Likes short answers.' }) {
  const r = await g.request('PUT', '/api/me/profile', { body: profile });
  assert.equal(r.status, 200, r.text);
}

/** A browsing context with its page; what must not happen gathers in `page.complaints`. */
export async function visit(g, address = '/', { phone = false, dark = false, context: more = {} } = {}) {
  const context = await (await browser()).newContext({
    ...(phone ? PHONE : DESKTOP), colorScheme: dark ? 'dark' : 'light', locale: 'en-GB', timezoneId: 'Europe/Zurich', ...more,
  });
  context.setDefaultTimeout(ACTION_MS);
  const page = await newPage(context);
  await page.goto(g.url + address);
  return page;
}

/** Another tab of the same browser. */
export async function newPage(context) {
  const page = await context.newPage();
  page.complaints = [];
  page.expected = []; // of console errors: a test that cuts the network says so here
  page.on('pageerror', (error) => page.complaints.push(`thrown: ${error.stack ?? error}`));
  page.on('console', (message) => {
    if (message.type() === 'error') page.complaints.push(`console: ${message.text()} ${message.location().url}`);
  });
  return page;
}

export function complaintsOf(page) {
  return page.complaints.filter((line) => !page.expected.some((pattern) => pattern.test(line)));
}

export const composer = (page) => page.getByRole('textbox', { name: 'Message', exact: true });
export const turns = (page) => page.getByRole('article');

/** As with a finger or a mouse; Enter is the keyboard test's. */
export async function say(page, words) {
  await composer(page).fill(words);
  await page.getByRole('button', { name: 'Send', exact: true }).click();
}

/** What the conversation shows; what is only said to screen readers stands elsewhere. */
export const reads = (page, words) => page.getByRole('region', { name: 'Messages' }).getByText(words, { exact: typeof words === 'string' });

/** Nothing is being answered. */
export const rest = (page) => page.getByRole('button', { name: 'Stop', exact: true }).waitFor({ state: 'hidden' });

export const threadOf = (page) => new URL(page.url()).pathname.split('/')[2];

/** What is shown of the last turn, without what is only for screen readers, in one line. */
export async function lastAnswer(page) {
  return (await turns(page).last().locator('.markdown').allInnerTexts()).join(' ').replace(/\s+/g, ' ').trim();
}

/** What the store has as the last words of a thread, in one line. */
export async function lastStored(g, thread) {
  const { content } = (await g.messages(thread)).at(-1);
  const words = typeof content === 'string' ? content : content.filter((b) => b.type === 'text').map((b) => b.text).join('');
  return words.replace(/\s+/g, ' ').trim();
}

/** Of network errors, in a test that takes the gateway away. */
export const CUT = [/WebSocket connection to/, /net::ERR_/, /Failed to load resource/, /error occurred when fetching the script/];

/** options: those of visit, `path`, and `introduced: false` for somebody who was never here. */
export function webtest(name, g, ...rest) {
  const [options, body] = rest.length > 1 ? rest : [{}, rest[0]];
  test(name, { timeout: 120_000 }, async () => {
    if (options.introduced !== false) await introduce(g);
    const page = await visit(g, options.path ?? '/', options);
    try {
      await body({ page, context: page.context(), g });
      for (const one of page.context().pages()) assert.deepEqual(complaintsOf(one), [], 'the page complained');
    } catch (error) {
      await keepFailure(name, page, error);
      throw error;
    } finally {
      await page.context().close();
    }
  });
}

async function keepFailure(name, page, error) {
  fs.mkdirSync(FAILURES, { recursive: true });
  const file = path.join(FAILURES, name.replace(/\W+/g, '-'));
  await page.screenshot({ path: `${file}.png` }).catch(() => {});
  fs.writeFileSync(`${file}.txt`, `${error.stack}\n\n${page.url()}\n${page.complaints.join('\n')}\n\n${await page.locator('body').ariaSnapshot().catch(String)}\n`);
}
