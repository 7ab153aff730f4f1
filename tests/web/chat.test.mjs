// A conversation in the browser.
import assert from 'node:assert/strict';
import { composer, eventually, lastAnswer, lastStored, reads, rest, say, suite, threadOf, turns, webtest } from './harness.mjs';

suite('chat', (start) => {
  const g = start();

  webtest('a message is answered, and a reload shows both', g, async ({ page }) => {
    await composer(page).fill('[say Good morning, **Robin**.]');
    await page.keyboard.press('Enter');
    await reads(page, 'Good morning, Robin.').waitFor();
    assert.match(page.url(), /\/t\/[^/]+$/);
    await page.reload();
    await reads(page, 'Good morning, Robin.').waitFor();
    assert.equal(await reads(page, /^\[say Good morning/).count(), 1);
  });

  webtest('an answer shows while it comes, to its last word', g, async ({ page }) => {
    await page.evaluate(() => { // looked at from within, however slow the machine is
      window.seen = new Set();
      new MutationObserver(() => window.seen.add(document.querySelector('.markdown')?.textContent.length ?? 0))
        .observe(document.body, { childList: true, subtree: true, characterData: true });
    });
    await say(page, '[tokens 100] [delay 50]');
    await turns(page).last().getByRole('button', { name: 'Answer again' }).waitFor({ timeout: 60_000 });
    await rest(page);
    const size = await page.evaluate(() => window.seen.size);
    assert.ok(size >= 5, `it showed ${size} times`);
    assert.equal(await lastAnswer(page), await lastStored(g, threadOf(page)));
  });

  webtest('markdown: code to be copied, tables, reasoning folded', g, { context: { permissions: ['clipboard-read', 'clipboard-write'] } }, async ({ page }) => {
    await say(page, 'explain leases');
    await page.getByRole('heading', { name: 'Why it is enough' }).waitFor();
    await rest(page);
    const code = turns(page).last().getByRole('button', { name: 'Copy', exact: true }).first();
    await code.click();
    assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^UPDATE turns\n {3}SET step/);
    await turns(page).last().getByRole('button', { name: /^Thought/ }).waitFor();
    await say(page, 'plan my day');
    await turns(page).last().getByRole('table').waitFor();
    await rest(page);
    assert.equal(await turns(page).last().getByRole('row').count(), 6);
  });

  webtest('stopped, it stays as far as it came', g, async ({ page }) => {
    await say(page, '[tokens 2000] [delay 30]');
    await eventually(async () => await turns(page).count() && (await lastAnswer(page)).length > 20, { what: 'some words' });
    await page.getByRole('button', { name: 'Stop', exact: true }).click();
    await reads(page, 'Stopped').waitFor();
    await rest(page);
    const words = await lastAnswer(page);
    assert.ok(words.length > 20);
    await page.reload();
    await reads(page, 'Stopped').waitFor();
    assert.ok((await lastAnswer(page)).startsWith(words.slice(0, 20)));
  });

  webtest('edited, it goes on in a fork; answered again too', g, async ({ page }) => {
    await say(page, '[say first]');
    await turns(page).last().getByText('first', { exact: true }).waitFor();
    await rest(page);
    const before = threadOf(page);
    await turns(page).last().getByRole('button', { name: 'Edit and send again' }).click();
    await page.getByRole('textbox', { name: 'Edit your message' }).fill('[say second]');
    await turns(page).last().getByRole('button', { name: 'Send', exact: true }).click();
    await reads(page, 'second').waitFor();
    const fork = threadOf(page);
    assert.notEqual(fork, before);
    await rest(page);
    assert.equal((await g.messages(before)).length, 2);
    await turns(page).last().getByRole('button', { name: 'Answer again' }).click();
    await page.waitForURL((url) => url.pathname !== `/t/${fork}`);
    await reads(page, 'second').waitFor();
  });

  webtest('a failure says what to do, and is tried again', g, async ({ page }) => {
    await say(page, '[fail-times 4 503] [say at last]');
    await page.getByRole('button', { name: 'Try again', exact: true }).click({ timeout: 60_000 });
    await reads(page, 'at last').waitFor({ timeout: 60_000 });
  });

  webtest('what was written and not sent is there after a reload', g, async ({ page }) => {
    await composer(page).fill('half a thought');
    await page.reload();
    await eventually(async () => await composer(page).inputValue() === 'half a thought', { what: 'the draft' });
  });

  webtest('the title comes, and can be changed; archived it is gone; found again by search', g, async ({ page }) => {
    await say(page, '[title Mountains in May] [say xylophone]');
    const list = page.getByRole('navigation', { name: 'Chats' });
    await list.getByRole('link', { name: /Mountains in May/ }).waitFor();
    await rest(page);
    await list.getByRole('button', { name: /^Options of Mountains in May/ }).click();
    await page.getByRole('menuitem', { name: 'Rename' }).click();
    await page.getByRole('textbox', { name: 'Title' }).fill('Hills in June');
    await page.keyboard.press('Enter');
    await list.getByRole('link', { name: /Hills in June/ }).waitFor();
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox').waitFor();
    await page.keyboard.type('xylophone');
    await page.getByRole('option').filter({ hasText: 'xylophone' }).first().waitFor();
    await page.keyboard.press('Escape');
    await list.getByRole('button', { name: /^Options of Hills in June/ }).click();
    await page.getByRole('menuitem', { name: 'Archive' }).click();
    await list.getByRole('link', { name: /Hills in June/ }).waitFor({ state: 'detached' });
  });

  webtest('commands on /', g, async ({ page }) => {
    await composer(page).fill('/');
    await page.getByRole('listbox', { name: 'Commands' }).waitFor();
    await page.keyboard.type('dark');
    await page.keyboard.press('Enter');
    await eventually(() => page.evaluate(() => getComputedStyle(document.documentElement).colorScheme.includes('dark')), { what: 'the dark' });
  });
});
