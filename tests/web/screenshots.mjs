// docs/screens: each screen on a phone and on a desktop, light and dark. `make screenshots`.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Adjutant, browser, complaintsOf, Fake, introduce, McpServer, visit } from './harness.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const OUT = process.env.OUT ?? path.join(ROOT, 'docs/screens');
const only = process.argv.slice(2);

const message = (page) => page.getByRole('textbox', { name: 'Message' });

async function say(page, words, until) {
  await message(page).fill(words);
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await page.getByText(until).first().waitFor();
  await page.getByRole('button', { name: 'Stop', exact: true }).waitFor({ state: 'detached' });
}

// name: how to get there. Each begins on the page of a new chat.
const SCREENS = {
  empty: async () => {},
  chat: async (page) => say(page, 'Plan my day', 'reminder on the bank statement'),
  code: async (page) => {
    await say(page, 'Explain leases to me, with code', 'nobody else until noon');
    await page.locator('pre').first().scrollIntoViewIfNeeded();
  },
  approval: async (page) => {
    await message(page).fill('Book the table');
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.getByRole('button', { name: 'Approve', exact: true }).waitFor();
  },
  search: async (page, { phone }) => {
    if (phone) {
      await page.getByRole('button', { name: 'Open the menu' }).click();
      await page.getByRole('button', { name: /^Search/ }).click();
    } else {
      await page.keyboard.press('Control+k');
    }
    await page.getByRole('combobox').fill('museum');
    await page.getByRole('option', { name: /A weekend outside/ }).first().waitFor();
  },
  settings: async (page, { g }) => { await page.goto(`${g.url}/settings`); },
  models: async (page, { g }) => { await page.goto(`${g.url}/settings/models`); },
  connections: async (page, { g }) => { await page.goto(`${g.url}/settings/connections`); },
  policies: async (page, { g }) => { await page.goto(`${g.url}/settings/tools`); },
  usage: async (page, { g }) => { await page.goto(`${g.url}/settings/usage`); },
  admin: async (page, { g }) => { await page.goto(`${g.url}/admin/users`); },
};

async function shoot(page, name) {
  await page.waitForTimeout(700); // what moves has come to rest
  await page.screenshot({ path: path.join(OUT, `${name}.png`), animations: 'disabled', caret: 'hide' });
  const complaints = complaintsOf(page);
  if (complaints.length) console.log(`${name}: ${complaints.join('\n  ')}`);
}

async function* looks() {
  for (const phone of [false, true]) for (const dark of [false, true]) yield { phone, dark, suffix: `${phone ? 'phone' : 'desktop'}-${dark ? 'dark' : 'light'}` };
}

async function firstRun(fake) {
  const g = await Adjutant.start({ backend: 'sqlite' });
  const locked = await Adjutant.start({ backend: 'sqlite', fake, env: { ASSISTANT_API_KEY: 'a-key-for-the-picture-0123456789' } });
  for await (const look of looks()) {
    for (const [name, gateway] of [['welcome', g], ['login', locked]]) {
      if (only.length && !only.includes(name)) continue;
      const page = await visit(gateway, '/', look);
      page.expected = [/401/];
      await page.getByRole('heading').first().waitFor();
      await shoot(page, `${name}-${look.suffix}`);
      await page.context().close();
    }
  }
  await g.stop();
  await locked.stop();
}

async function everythingElse(fake) {
  const server = await McpServer.start({
    tools: [
      { name: 'book_table', title: 'Book a table', description: 'Books a table at a restaurant.', inputSchema: { type: 'object', properties: { place: { type: 'string' }, people: { type: 'integer' }, at: { type: 'string' } } } },
      { name: 'find_places', description: 'Finds places nearby.', inputSchema: { type: 'object', properties: { query: { type: 'string' } } }, annotations: { readOnlyHint: true } },
    ],
  });
  const g = await Adjutant.start({ backend: 'sqlite', fake, mcp: { restaurants: { url: server.url } }, env: { TITLE_MODEL: '' } });
  await introduce(g, { name: 'Robin', time_zone: 'Europe/Zurich', about: '' });
  for (const words of ['gift ideas for Lena', 'weather for the weekend in Bern', 'Explain leases to me, with code']) await g.chat(words);
  for await (const look of looks()) {
    for (const [name, show] of Object.entries(SCREENS)) {
      if (only.length && !only.includes(name)) continue;
      const page = await visit(g, '/', look);
      await message(page).waitFor();
      try {
        await show(page, { g, ...look });
        await shoot(page, `${name}-${look.suffix}`);
      } catch (error) {
        await shoot(page, `${name}-${look.suffix}`);
        console.log(`${name}-${look.suffix}: ${error.message.split('\n')[0]}`);
        process.exitCode = 1;
      }
      await page.context().close();
    }
  }
  await g.stop();
  await server.stop();
}

fs.mkdirSync(OUT, { recursive: true });
const fake = await Fake.start({ args: ['--scenes', path.join(ROOT, 'tests/fake/scenes.txt')] });
try {
  await firstRun(fake);
  await everythingElse(fake);
} finally {
  await fake.stop();
  await (await browser()).close();
}
process.exit();
