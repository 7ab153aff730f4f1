// A conversation in the browser.
import assert from 'node:assert/strict';
import { suite, webtest } from './harness.mjs';

suite('chat', (start) => {
  const g = start();

  webtest('a message is answered, and a reload shows both', g, async ({ page }) => {
    await page.getByRole('textbox', { name: 'Message' }).fill('[say Good morning, **Robin**.]');
    await page.keyboard.press('Enter');
    await page.getByText('Good morning, Robin.').waitFor();
    assert.match(page.url(), /\/t\/[^/]+$/);
    await page.reload();
    await page.getByText('Good morning, Robin.').waitFor();
    assert.equal(await page.getByText('[say Good morning').count(), 1);
  });
});
