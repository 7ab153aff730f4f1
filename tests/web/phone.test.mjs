// On a phone: everything is in reach of a thumb and nothing is wider than the screen.
import assert from 'node:assert/strict';
import { composer, eventually, rest, say, suite, turns, webtest } from './harness.mjs';

const fits = (page) => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight + 1);

/** What can be touched and is smaller than 44 px in both directions, links within text aside. */
const small = (page) => page.evaluate(() => [...document.querySelectorAll('button, a[href], input, select, textarea, summary, [role=button], [role=menuitem], [role=option]')]
  .filter((e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && !e.closest('.markdown, .visually-hidden, [inert], [hidden], [aria-hidden=true], a[href="#main"]'))
  .map((e) => ({ e, box: e.getBoundingClientRect(), target: e.labels?.[0]?.getBoundingClientRect() }))
  .filter(({ box }) => box.width > 1 && box.height > 1 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth)
  .filter(({ e, box, target }) => {
    const after = getComputedStyle(e, '::after');
    const reach = after.content !== 'none' && after.position === 'absolute' ? Math.max(box.height, parseFloat(after.height) || 0) : box.height;
    return Math.max(reach, target?.height ?? 0) < 43.5;
  })
  .map(({ e, box }) => `${(e.getAttribute('aria-label') || e.textContent.trim() || e.localName).slice(0, 40)}: ${Math.round(box.width)}x${Math.round(box.height)}`));

suite('phone', (start) => {
  const g = start();

  webtest('the screens fit, and what is touched is large enough', g, { phone: true }, async ({ page }) => {
    await composer(page).waitFor();
    assert.ok(await fits(page));
    assert.deepEqual(await small(page), [], 'a new chat');
    await say(page, 'plan my day');
    await turns(page).last().getByRole('table').waitFor();
    await rest(page);
    assert.ok(await fits(page));
    assert.deepEqual(await small(page), [], 'a conversation');
    await page.getByRole('button', { name: 'Open the menu' }).click();
    await page.getByRole('navigation', { name: 'Chats' }).waitFor();
    await page.waitForTimeout(400);
    assert.deepEqual(await small(page), [], 'the menu');
    assert.ok(await fits(page));
  });

  for (const path of ['/settings', '/settings/models', '/settings/connections', '/settings/tools', '/settings/profile', '/settings/security', '/settings/usage', '/settings/appearance', '/admin']) {
    webtest(`${path} fits`, g, { phone: true, path }, async ({ page }) => {
      await page.getByRole('main').getByRole('link').or(page.getByRole('heading')).first().waitFor();
      await page.waitForLoadState('networkidle');
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'it is wider than the screen');
      assert.deepEqual(await small(page), []);
    });
  }

  webtest('the menu opens and closes, also by going back', g, { phone: true }, async ({ page }) => {
    await say(page, '[title From the pocket] [say pocket]');
    await rest(page);
    await page.getByRole('button', { name: 'Open the menu' }).click();
    const list = page.getByRole('navigation', { name: 'Chats' });
    await list.getByRole('link', { name: /From the pocket/ }).waitFor();
    await page.goBack();
    await list.waitFor({ state: 'hidden' });
    assert.match(page.url(), /\/t\//);
    await page.getByRole('button', { name: 'New chat' }).click();
    await page.waitForURL((url) => url.pathname === '/');
  });

  webtest('a keyboard that opens leaves the composer in sight', g, { phone: true }, async ({ page }) => {
    await say(page, 'plan my day');
    await turns(page).last().getByRole('table').waitFor();
    await rest(page);
    await page.setViewportSize({ width: 390, height: 500 });
    await composer(page).focus();
    await eventually(async () => {
      const box = await composer(page).boundingBox();
      return box && box.y >= 0 && box.y + box.height <= 500;
    }, { what: 'the composer in sight' });
  });
});
