// The same app in WebKit, as Safari's stand-in: a conversation, a question, settings, a reload.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fresh, introduce, McpServer, suite } from './harness.mjs';
import { By, openWebKit, until } from './lib/webkit.mjs';

const WAIT_MS = 30_000;

const TOOL = { name: 'order_tea', description: 'Orders tea.', inputSchema: { type: 'object', properties: { kind: { type: 'string' } } } };

suite('WebKit', (start) => {
  const tea = McpServer.start({ tools: [TOOL] });
  let server;
  const g = start({ before: async () => { server = await tea; }, mcp: () => ({ tea: { url: server.url } }) });

  for (const phone of [false, true]) {
    test(`a conversation on a ${phone ? 'phone' : 'desktop'}`, { timeout: 180_000 }, async () => {
      await introduce(g);
      const { driver, close } = await openWebKit({ phone });
      const find = (css) => driver.wait(until.elementLocated(By.css(css)), WAIT_MS, css);
      const see = (words) => driver.wait(async () => (await driver.executeScript('return document.body.innerText')).includes(words), WAIT_MS, words);
      const press = async (name) => {
        const button = await driver.wait(until.elementLocated(By.xpath(`//button[normalize-space()="${name}" or @aria-label="${name}"]`)), WAIT_MS, name);
        await driver.wait(until.elementIsEnabled(button), WAIT_MS);
        await driver.executeScript('arguments[0].click()', button);
      };
      const say = async (words) => {
        await (await find('textarea')).sendKeys(words);
        await press('Send');
      };
      try {
        const word = fresh('word');
        await driver.get(g.url);
        await say(`[delay 20] [say A *calm* answer with ${word}, and **more** of it.]`);
        await see(`A calm answer with ${word}, and more of it.`);
        assert.match(await driver.getCurrentUrl(), /\/t\//);

        await say('[tool order_tea {"kind":"green"}] [then] [say Tea is *really* on its way.]');
        await press('Approve');
        await see('Tea is really on its way.');
        assert.equal(server.calls.at(-1)?.arguments.kind, 'green');

        await driver.navigate().refresh();
        await see('Tea is really on its way.');
        await see(word);

        await driver.get(`${g.url}/settings/appearance`);
        await see('Dark');
      } finally {
        await close();
      }
    });
  }

  test('the server is let go', async () => { await server.stop(); });
});
