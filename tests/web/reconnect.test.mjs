// The gateway goes away and comes back, the network does, and other tabs and devices are there.
import assert from 'node:assert/strict';
import { composer, CUT, eventually, lastAnswer, lastStored, newPage, reads, rest, say, sleep, suite, threadOf, turns, visit, webtest } from './harness.mjs';

suite('away and back', (start) => {
  const g = start({ env: { ADJUTANT_LEASE_MS: '1500' } });

  webtest('the gateway killed and started in mid-answer: every word is there', g, async ({ page }) => {
    page.expected.push(...CUT);
    await say(page, '[tokens 120] [delay 40]');
    await eventually(async () => await turns(page).count() && (await lastAnswer(page)).length > 60, { what: 'some words' });
    await g.kill();
    await page.getByText('Not connected.').waitFor();
    await composer(page).fill('typed meanwhile');
    await g.begin();
    await page.getByText('Not connected.').waitFor({ state: 'hidden', timeout: 30_000 });
    await page.getByRole('button', { name: 'Stop', exact: true }).waitFor({ state: 'hidden', timeout: 40_000 });
    await eventually(async () => await lastAnswer(page) === await lastStored(g, threadOf(page)), { what: 'the whole answer' });
    assert.equal(await composer(page).inputValue(), 'typed meanwhile');
    assert.equal(await turns(page).count(), 1);
  });

  webtest('a message written while it is away is sent once, later', g, async ({ page }) => {
    page.expected.push(...CUT);
    await say(page, '[say before]');
    await reads(page, 'before').waitFor();
    await rest(page);
    await g.kill();
    await page.getByText('Not connected.').waitFor();
    await say(page, '[say after]');
    await reads(page, /^Not sent yet/).waitFor();
    await g.begin();
    await reads(page, 'after').waitFor({ timeout: 30_000 });
    await sleep(500);
    assert.deepEqual((await g.messages(threadOf(page))).map((m) => m.role), ['user', 'assistant', 'user', 'assistant']);
  });

  webtest('offline, and back', g, async ({ page, context }) => {
    page.expected.push(...CUT);
    await say(page, '[say here]');
    await reads(page, 'here').waitFor();
    await rest(page);
    await context.setOffline(true);
    await say(page, '[say returned]');
    await reads(page, /^Not sent yet/).waitFor();
    await context.setOffline(false);
    await reads(page, 'returned').waitFor({ timeout: 30_000 });
    await sleep(500);
    assert.equal((await g.messages(threadOf(page))).length, 4);
  });

  webtest('two tabs stay in step', g, async ({ page, context }) => {
    await say(page, '[title Two tabs] [say one]');
    await reads(page, 'one').waitFor();
    await rest(page);
    const other = await newPage(context);
    await other.goto(page.url());
    await reads(other, 'one').waitFor();
    await say(page, '[tokens 40] [delay 40]');
    await other.getByRole('button', { name: 'Stop', exact: true }).waitFor();
    await rest(page);
    await rest(other);
    await eventually(async () => await lastAnswer(other) === await lastStored(g, threadOf(page)), { what: 'the answer in the other tab' });
    await say(other, '[say three]');
    await reads(page, 'three').waitFor();
    assert.equal(await turns(page).count(), 3);
    assert.equal(await turns(other).count(), 3);
    await g.request('PATCH', `/api/threads/${threadOf(page)}`, { body: { title: 'Renamed elsewhere' } });
    for (const one of [page, other]) await one.getByRole('navigation', { name: 'Chats' }).getByText('Renamed elsewhere').waitFor();
  });

  webtest('a phone sees what the desk began, and the other way round', g, async ({ page }) => {
    const phone = await visit(g, '/', { phone: true });
    try {
      await say(page, '[title Begun at the desk] [say desk]');
      await rest(page);
      await phone.getByRole('button', { name: 'Open the menu' }).click();
      await phone.getByRole('link', { name: /Begun at the desk/ }).click();
      await reads(phone, 'desk').waitFor();
      await say(phone, '[say pocket]');
      await reads(page, 'pocket').waitFor();
    } finally {
      await phone.context().close();
    }
  });
});
