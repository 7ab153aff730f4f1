// What the assistant does with its tools, and what it asks before.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { eventually, McpServer, newPage, reads, rest, say, suite, tools, turns, webtest } from './harness.mjs';

const erase = (file, then = '[echo-results]') => `[tool erase {"path":"${file}"}] [then] ${then}`;

suite('tools', (start) => {
  let server;
  before(async () => { server = await McpServer.start({ tools: [tools.erase, tools.echo, tools.plain] }); });
  after(() => server.stop());
  const g = start({ mcp: () => ({ disk: server.definition() }) });
  const erased = (file) => (server.erased ?? []).filter((p) => p === file).length;
  const ready = () => eventually(async () => (await g.get('/api/connections')).json.connections.some((c) => c.state === 'ready'), { what: 'the server' });
  const card = (page) => page.getByRole('group', { name: 'Approval: Erase' }).or(page.getByRole('region', { name: 'Approval: Erase' }));

  webtest('a call is a line that opens', g, async ({ page }) => {
    await ready();
    await say(page, '[tool calculate {"expression":"6*7"}] [then] [say It is forty-two.]');
    await reads(page, 'It is forty-two.').waitFor();
    const line = turns(page).last().getByRole('button', { name: /^Calculate.*done/ });
    assert.equal(await line.getAttribute('aria-expanded'), 'false');
    await line.click();
    await page.getByText('"expression": "6*7"').waitFor();
    await turns(page).last().getByText('42', { exact: true }).first().waitFor();
    await page.reload();
    await turns(page).last().getByRole('button', { name: /^Calculate/ }).waitFor();
  });

  webtest('a call that fails says why', g, async ({ page }) => {
    await say(page, '[tool calculate {"expression":"1/"}] [then] [say Sorry.]');
    const line = turns(page).last().getByRole('button', { name: /^Calculate.*failed/ });
    await line.click();
    await rest(page);
  });

  webtest('approved, it is called once', g, async ({ page }) => {
    await ready();
    await say(page, erase('/approved'));
    await card(page).getByText('/approved').waitFor();
    assert.equal(erased('/approved'), 0);
    await card(page).getByRole('button', { name: 'Approve', exact: true }).click();
    await reads(page, 'erase says: erased /approved').waitFor();
    assert.equal(erased('/approved'), 1);
    assert.equal(await card(page).count(), 0);
  });

  webtest('edited, it is called with what was written', g, async ({ page }) => {
    await ready();
    await say(page, erase('/before'));
    await card(page).getByRole('button', { name: 'Edit' }).click();
    await card(page).getByRole('textbox', { name: 'Path' }).fill('/after');
    await card(page).getByRole('button', { name: 'Approve with changes' }).click();
    await reads(page, /erased \/after$/).waitFor();
    assert.deepEqual([erased('/before'), erased('/after')], [0, 1]);
  });

  webtest('denied with a reason, it is not called, and the model reads why', g, { phone: true }, async ({ page }) => {
    await ready();
    await say(page, erase('/denied'));
    await card(page).getByRole('button', { name: 'Deny' }).click();
    await card(page).getByRole('textbox', { name: /^Reason/ }).fill('I still need it');
    await card(page).getByRole('button', { name: 'Deny call' }).click();
    await turns(page).last().getByText(/I still need it/).first().waitFor();
    assert.equal(erased('/denied'), 0);
  });

  webtest('a question survives a reload, and is answered in another tab', g, async ({ page, context }) => {
    await ready();
    await say(page, erase('/tabs'));
    await card(page).waitFor();
    await page.reload();
    await card(page).waitFor();
    const other = await newPage(context);
    await other.goto(page.url());
    await card(other).getByRole('button', { name: 'Approve', exact: true }).click();
    await reads(page, 'erase says: erased /tabs').waitFor();
    await card(page).waitFor({ state: 'detached' });
    assert.equal(erased('/tabs'), 1);
  });

  webtest('always: it is not asked about again', g, async ({ page }) => {
    await ready();
    await say(page, erase('/always'));
    await card(page).getByRole('button', { name: 'Always allow' }).click();
    await reads(page, 'erase says: erased /always').waitFor();
    await rest(page);
    await say(page, erase('/again'));
    await reads(page, 'erase says: erased /again').waitFor();
    await g.request('DELETE', '/api/policies?server=disk&tool=erase');
  });
});
