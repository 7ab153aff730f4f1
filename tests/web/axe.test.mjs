// axe finds nothing serious on any screen.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { after, before } from 'node:test';
import { composer, eventually, McpServer, reads, rest, say, suite, tools, turns, webtest } from './harness.mjs';
import { settled } from './lib/axe.mjs';

const AXE = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

async function examine(page, where) {
  await settled(page);
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const serious = violations.filter((v) => v.impact === 'serious' || v.impact === 'critical');
  assert.deepEqual(serious.map((v) => `${where}: ${v.id}: ${v.help}: ${v.nodes.map((n) => `${n.target} ${n.any[0]?.message ?? ''}`).slice(0, 4).join(' | ')}`), []);
}

suite('axe', (start) => {
  let server;
  before(async () => { server = await McpServer.start({ tools: [tools.erase, tools.echo] }); });
  after(() => server.stop());
  const g = start({ mcp: () => ({ disk: server.definition() }) });

  for (const dark of [false, true]) {
    for (const phone of [false, true]) {
      const how = `${phone ? 'phone' : 'desktop'}, ${dark ? 'dark' : 'light'}`;

      webtest(`chat (${how})`, g, { dark, phone }, async ({ page }) => {
        await composer(page).waitFor();
        await examine(page, 'a new chat');
        await say(page, 'explain leases');
        await page.getByRole('heading', { name: 'Why it is enough' }).waitFor();
        await rest(page);
        await say(page, 'plan my day');
        await turns(page).last().getByRole('table').waitFor();
        await rest(page);
        await turns(page).last().getByRole('button', { name: /^Current time/ }).click();
        await examine(page, 'a conversation');
        await composer(page).fill('/');
        await examine(page, 'the commands');
        await composer(page).fill('');
        if (phone) {
          await page.getByRole('button', { name: 'Open the menu' }).click();
          await page.getByRole('navigation', { name: 'Chats' }).waitFor();
          await examine(page, 'the menu');
        } else {
          await page.keyboard.press('Control+k');
          await page.getByRole('combobox').waitFor();
          await examine(page, 'the palette');
          await page.keyboard.press('Escape');
          await page.getByRole('button', { name: /Account/ }).click();
          await page.getByRole('menuitem', { name: 'Settings' }).waitFor();
          await examine(page, 'the menu');
        }
      });

      webtest(`an approval and an error (${how})`, g, { dark, phone }, async ({ page }) => {
        await eventually(async () => (await g.get('/api/connections')).json.connections.some((c) => c.state === 'ready'), { what: 'the server' });
        await say(page, '[tool erase {"path":"/a"}] [then] [say x]');
        await page.getByRole('button', { name: 'Approve', exact: true }).waitFor();
        await examine(page, 'the question');
        await page.getByRole('button', { name: 'Edit', exact: true }).click();
        await examine(page, 'the question being edited');
        await page.goto(`${g.url}/`);
        await say(page, '[status 401]');
        await reads(page, 'The model’s key was not accepted').waitFor();
        await examine(page, 'an error');
      });

      if (dark !== phone) continue; // the many screens: light on a desk, dark on a phone
      webtest(`settings and administration (${how})`, g, { dark, phone }, async ({ page }) => {
        for (const path of ['settings/models', 'settings/connections', 'settings/tools', 'settings/profile', 'settings/notifications', 'settings/security', 'settings/usage', 'settings/appearance', 'settings/data', 'settings/about', 'admin', 'admin/users', 'admin/keys', 'admin/usage', 'admin/audit', 'admin/health']) {
          await page.goto(`${g.url}/${path}`);
          await page.getByRole('main').getByRole('link').or(page.getByRole('heading')).first().waitFor();
          await page.waitForLoadState('networkidle');
          await examine(page, path);
        }
      });
    }
  }
});
