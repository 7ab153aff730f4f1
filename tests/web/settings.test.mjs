// The settings, as somebody uses them: model keys, connections, rules, keys, and what is told there.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { serious } from './lib/axe.mjs';
import { eventually, McpServer, newPage, OAuthServer, suite, tools, webtest } from './harness.mjs';

const PAGES = ['models', 'connections', 'tools', 'profile', 'notifications', 'security', 'usage', 'appearance', 'data', 'about'];
const key = 'sk-fake-0123456789abcdef';

suite('settings', (start) => {
  let notes, wiki, as;
  before(async () => {
    as = await OAuthServer.start();
    notes = await McpServer.start({ name: 'notes', tools: [tools.echo, tools.count, tools.erase] });
    wiki = await McpServer.start({ name: 'wiki', tools: [tools.echo] });
    as.guard(wiki);
  });
  after(() => Promise.all([notes.stop(), wiki.stop(), as.stop()]));
  const g = start({
    mcp: () => ({
      notes: notes.definition({ credential: { service: 'notes', header: 'Authorization', value: 'Bearer {token}' } }),
      wiki: wiki.definition(),
      away: { url: 'http://127.0.0.1:9/mcp' },
    }),
  });

  webtest('a model key is tried, stored, told about, and removed', g, { path: '/settings/models' }, async ({ page }) => {
    await page.getByRole('button', { name: 'Add key: Anthropic' }).click();
    const field = page.getByLabel('API key');
    assert.equal(await field.evaluate((e) => e === document.activeElement), true);
    page.expected.push(/400/);
    await field.fill('sk-wrong');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').first().waitFor();
    await field.fill(key);
    await page.getByLabel('Address of the API').focus();
    await page.getByText(/models? to choose from/).waitFor();
    await page.getByRole('combobox', { name: 'Preferred model' }).fill('fake');
    await page.getByRole('option', { name: 'fake-mini' }).click();
    await page.getByRole('button', { name: 'Check and store' }).click();
    await page.getByText('Anthropic took the key').waitFor();
    await page.getByText('fake-mini answers you.').waitFor();
    await page.getByText('Your own key pays for it.').waitFor();
    assert.ok(!(await page.content()).includes(key), 'the key is nowhere in the page');
    await page.getByRole('button', { name: 'Remove' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await page.getByText('The operator of this instance pays for it.').waitFor();
  });

  webtest('a server that asks for permission is connected in another tab', g, { path: '/settings/connections' }, async ({ page, context }) => {
    await page.getByText('wiki needs your permission.').waitFor();
    await page.getByText('refused the connection').waitFor();
    const opened = context.waitForEvent('page');
    await page.getByRole('button', { name: 'Connect', exact: true }).click();
    const tab = await opened;
    await tab.getByText('can use wiki now').waitFor();
    await tab.close();
    await page.getByText('Permission for wiki').waitFor();
    await page.getByText('wiki needs your permission.').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Disconnect' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click();
    await page.getByText('Permission for wiki').waitFor({ state: 'detached' });
  });

  webtest('a credential is stored from the server that lacks it, and never shown', g, { path: '/settings/connections' }, async ({ page }) => {
    await page.getByRole('button', { name: 'Set credential' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Name').fill('token');
    await dialog.getByLabel('Value').fill('secret-of-notes');
    await page.keyboard.press('Enter');
    await dialog.waitFor({ state: 'hidden' });
    await page.getByText('You have stored no credential “notes”').waitFor({ state: 'detached' });
    assert.ok(!(await page.content()).includes('secret-of-notes'));
    await eventually(async () => notes.requests.some((r) => r.headers.authorization === 'Bearer secret-of-notes'), { what: 'the credential at the server' });
  });

  webtest("a server's tools are shown with what they take", g, { path: '/settings/connections' }, async ({ page }) => {
    await page.getByText('Details: notes').click();
    await page.getByText('Erases a path.').waitFor();
    await page.getByText('Arguments: erase').click();
    await page.getByText('"path"').first().waitFor();
  });

  webtest('rules for tools: at once, after a reload, in another tab, and back to the default', g, { path: '/settings/tools' }, async ({ page, context }) => {
    const rule = (p) => p.getByLabel('Rule for erase');
    assert.equal(await rule(page).locator('option:checked').innerText(), 'Default (ask first)');
    const other = await newPage(context);
    await other.goto(`${g.url}/settings/tools`);
    await rule(other).waitFor();
    await rule(page).selectOption('deny');
    await eventually(async () => (await rule(other).inputValue()) === 'deny', { what: 'the rule in the other tab' });
    await page.reload();
    await eventually(async () => (await rule(page).inputValue()) === 'deny', { what: 'the rule after a reload' });
    await page.getByLabel('Rule for All of notes').selectOption('allow');
    await rule(page).selectOption('');
    await eventually(async () => (await rule(page).locator('option:checked').innerText()) === 'As the server (allow)', { what: 'the rule of the server' });
    await page.getByLabel('Search tools').fill('erases');
    await page.getByText('Has an effect.').waitFor({ state: 'detached' });
    await page.getByLabel('Search tools').fill('');
    await page.getByRole('button', { name: 'Reset all rules' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Reset all rules' }).click();
    await eventually(async () => (await rule(page).locator('option:checked').innerText()) === 'Default (ask first)', { what: 'the default' });
    await other.close();
  });

  webtest('who one is: a time zone by typing, saved by Enter', g, { path: '/settings/profile' }, async ({ page }) => {
    const zone = page.getByRole('combobox', { name: 'Time zone' });
    await zone.fill('new york');
    await page.getByRole('option', { name: 'America/New York' }).waitFor();
    await page.keyboard.press('Enter'); // takes the option
    assert.equal(await zone.inputValue(), 'America/New_York');
    await page.keyboard.press('Enter'); // saves
    await page.getByText('Saved').waitFor();
    await page.reload();
    await eventually(async () => (await zone.inputValue()) === 'America/New_York', { what: 'the stored zone' });
    await zone.fill('Atlantis');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('There is no such time zone.').waitFor();
  });

  webtest('usage: a chart with words for it, and the same as a table', g, { path: '/' }, async ({ page }) => {
    await g.chat('hello');
    await page.goto(`${g.url}/settings/usage`);
    await page.getByRole('img', { name: /^Tokens per day over 30 days: \d+ in all/ }).waitFor();
    await page.getByRole('radio', { name: 'As a table' }).check();
    await page.getByRole('table', { name: 'Per day' }).getByRole('row').nth(1).waitFor();
    await page.getByRole('radio', { name: '7 days' }).check();
    await page.getByRole('table', { name: 'Per model' }).getByText('fake-1').waitFor();
  });

  webtest('on a phone: the list, a page, and back', g, { path: '/settings', phone: true }, async ({ page }) => {
    await page.getByRole('heading', { name: 'Settings' }).waitFor();
    await page.getByRole('link', { name: 'Usage' }).tap();
    await page.getByRole('heading', { name: 'Usage', level: 1 }).waitFor();
    assert.equal(await page.getByRole('link', { name: 'Models' }).isVisible(), false);
    await page.getByRole('link', { name: 'Settings' }).tap();
    await page.getByRole('link', { name: 'Models' }).waitFor();
  });

  for (const phone of [false, true]) {
    webtest(`every page is accessible and no wider than the ${phone ? 'phone' : 'window'}`, g, { phone, dark: phone }, async ({ page }) => {
      for (const name of PAGES) {
        await page.goto(`${g.url}/settings/${name}`);
        await page.getByRole('heading', { level: 1 }).first().waitFor();
        await page.waitForLoadState('networkidle');
        assert.deepEqual(await serious(page), [], name);
        assert.ok(await page.evaluate(() => [...document.querySelectorAll('.place')].every((e) => e.scrollWidth <= e.clientWidth)), `${name} is too wide`);
      }
    });
  }
});
