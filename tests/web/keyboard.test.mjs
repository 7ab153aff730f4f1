// Everything without a mouse.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { composer, eventually, McpServer, reads, rest, suite, threadOf, tools, turns, webtest } from './harness.mjs';

const focused = (page) => page.evaluate(() => {
  const e = document.activeElement;
  return e && e !== document.body ? { tag: e.localName, name: e.getAttribute('aria-label') || e.textContent.trim().slice(0, 60), outline: getComputedStyle(e).outlineStyle } : null;
});

/** Tabs until something of that name has the focus. */
async function tabTo(page, name, key = 'Tab') {
  for (let i = 0; i < 80; i++) {
    await page.keyboard.press(key);
    if (name.test((await focused(page))?.name ?? '')) return;
  }
  throw new Error(`${name} cannot be reached with ${key}`);
}

suite('keyboard', (start) => {
  let server;
  before(async () => { server = await McpServer.start({ tools: [tools.erase] }); });
  after(() => server.stop());
  const g = start({ mcp: () => ({ disk: server.definition() }) });

  webtest('a conversation: written, stopped, edited, copied', g, { context: { permissions: ['clipboard-read', 'clipboard-write'] } }, async ({ page }) => {
    await eventually(async () => (await focused(page))?.name === 'Message', { what: 'the focus in the composer' });
    await page.keyboard.type('[say written]');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('by hand');
    await page.keyboard.press('Enter');
    await reads(page, 'written').waitFor();
    await rest(page);
    assert.equal(await composer(page).inputValue(), '');
    await page.keyboard.type('[tokens 2000] [delay 30]');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Stop', exact: true }).waitFor();
    await page.keyboard.press('Escape');
    await reads(page, 'Stopped').waitFor();
    await tabTo(page, /^Copy answer$/, 'Shift+Tab');
    await page.keyboard.press('Enter');
    await page.getByText('Copied', { exact: true }).first().waitFor();
    await tabTo(page, /^Edit and send again$/, 'Shift+Tab');
    await page.keyboard.press('Enter');
    await eventually(async () => (await focused(page))?.name === 'Edit your message', { what: 'the focus in the editor' });
    await page.keyboard.press('Escape');
    await page.getByRole('textbox', { name: 'Edit your message' }).waitFor({ state: 'detached' });
  });

  webtest('an approval', g, async ({ page }) => {
    await eventually(async () => (await g.get('/api/connections')).json.connections.some((c) => c.state === 'ready'), { what: 'the server' });
    await composer(page).focus();
    await page.keyboard.type('[tool erase {"path":"/k"}] [then] [echo-results]');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Approve', exact: true }).waitFor();
    await tabTo(page, /^Approve$/, 'Shift+Tab');
    await page.keyboard.press('Enter');
    await reads(page, 'erase says: erased /k').waitFor();
  });

  webtest('search and commands, the shortcuts, a new chat, a chat from the list', g, async ({ page }) => {
    await composer(page).focus();
    await page.keyboard.type('[title Found by keys] [say found]');
    await page.keyboard.press('Enter');
    await reads(page, 'found').waitFor();
    await rest(page);
    const thread = threadOf(page);
    await page.keyboard.press('Control+Shift+O');
    await page.waitForURL((url) => url.pathname === '/');
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox').waitFor();
    await page.keyboard.type('Found by');
    await page.getByRole('option', { name: /Found by keys/ }).first().waitFor();
    await page.keyboard.press('Enter');
    await page.waitForURL((url) => url.pathname === `/t/${thread}`);
    await turns(page).last().focus().catch(() => {});
    await page.evaluate(() => document.activeElement?.blur());
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    await page.keyboard.press('Control+,');
    await page.waitForURL((url) => url.pathname.startsWith('/settings'));
    await tabTo(page, /^Appearance$/);
    await page.keyboard.press('Enter');
    await page.waitForURL((url) => url.pathname === '/settings/appearance');
  });

  webtest('whatever has the focus shows it and has a name', g, async ({ page }) => {
    await composer(page).focus();
    await page.keyboard.type('explain leases');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Why it is enough' }).waitFor();
    await rest(page);
    const seen = [];
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press('Tab');
      const at = await page.evaluate(() => {
        const e = document.activeElement;
        if (!e || e === document.body) return null;
        const box = e.getBoundingClientRect();
        const ring = (x) => x && (getComputedStyle(x).outlineStyle !== 'none' || getComputedStyle(x).boxShadow !== 'none');
        return {
          tag: e.localName, html: e.outerHTML.slice(0, 120), named: Boolean(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.textContent.trim() || e.labels?.length),
          visible: box.width > 0 && box.height > 0, ring: ring(e) || ring(e.parentElement) || ring(e.parentElement?.parentElement) || e.localName === 'textarea',
        };
      });
      if (at) seen.push(at);
    }
    assert.ok(seen.length > 20);
    assert.deepEqual(seen.filter((e) => !e.named || !e.visible || !e.ring).map((e) => e.html), []);
  });
});
