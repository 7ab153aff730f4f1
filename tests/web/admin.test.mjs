// The administration: who may see it, keys for others, and an open instance that is closed.
import assert from 'node:assert/strict';
import { serious } from './lib/axe.mjs';
import { eventually, introduce, suite, webtest } from './harness.mjs';

const PAGES = ['users', 'keys', 'usage', 'audit', 'health'];

const signIn = async (page, g, key) => {
  await page.goto(`${g.url}/login`);
  const status = await page.evaluate(async (k) => (await fetch('/api/login', {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ key: k }),
  })).status, key);
  assert.equal(status, 200);
};

suite('administration', (start) => {
  const operator = 'operator-key-0123456789';
  const g = start({ key: operator, env: { ASSISTANT_API_KEY: operator } });

  webtest('a key for somebody: shown once, changed, revoked, and told in the audit', g, { path: '/login' }, async ({ page }) => {
    page.expected.push(/401/);
    await signIn(page, g, operator);
    await page.goto(`${g.url}/admin/keys`);
    await page.getByRole('button', { name: 'Create key' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('User').fill('ann');
    await dialog.getByLabel('Label').fill('tablet');
    await page.keyboard.press('Enter');
    const key = await dialog.locator('code').innerText();
    assert.match(key, /^adj_[\w-]{43}$/);
    await dialog.getByRole('button', { name: 'Done' }).click();
    await dialog.waitFor({ state: 'hidden' });
    assert.ok(!(await page.content()).includes(key), 'the key is gone from the page');
    const toggle = page.getByRole('switch', { name: 'tablet may use the operator’s model' });
    await toggle.click();
    const stored = async () => (await g.request('GET', '/api/admin/keys?user=ann')).json.keys[0];
    await eventually(async () => (await stored()).allow_operator_llm, { what: 'the right' });
    await page.goto(`${g.url}/admin/users`);
    await page.getByText('1 valid key: ann').click();
    await page.getByRole('button', { name: 'Revoke: tablet' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
    await page.getByText('0 valid keys: ann').waitFor();
    assert.equal((await stored()).revoked, true);
    await page.goto(`${g.url}/admin/audit`);
    await page.getByText('revoked a key of ann').waitFor();
    await page.getByLabel('Only what concerns user').fill('nobody');
    await page.getByText('Nothing matches “nobody”.').waitFor();
  });

  webtest('others are told that it is not for them', g, { path: '/login' }, async ({ page }) => {
    page.expected.push(/401/);
    const made = await g.post('/api/admin/keys', { user_id: 'bob', allow_operator_llm: true });
    await introduce({ request: (method, path, options) => g.request(method, path, { ...options, headers: { 'X-API-Key': made.json.key } }) });
    await signIn(page, g, made.json.key);
    await page.goto(`${g.url}/admin/keys`);
    await page.getByText('This is for administrators').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Create key' }).count(), 0);
  });

  webtest('every page is accessible', g, { path: '/login' }, async ({ page }) => {
    page.expected.push(/401/);
    await signIn(page, g, operator);
    for (const name of PAGES) {
      await page.goto(`${g.url}/admin/${name}`);
      await page.getByRole('heading', { level: 1 }).first().waitFor();
      await page.waitForLoadState('networkidle');
      assert.deepEqual(await serious(page), [], name);
    }
  });
});

suite('an open instance', (start) => {
  const g = start();

  webtest('is closed by its first key, which one then signs in with', g, { path: '/settings/security' }, async ({ page }) => {
    page.expected.push(/401/);
    await page.getByText('This instance is open').waitFor();
    await page.getByRole('button', { name: 'Create key' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('It closes the instance').waitFor();
    await page.keyboard.press('Enter');
    const key = await dialog.locator('code').innerText();
    await dialog.getByText('This browser is signed in').waitFor();
    await dialog.getByRole('button', { name: 'Done' }).click();
    await page.getByText('This browser').waitFor();
    assert.ok(!(await page.content()).includes(key));
    assert.equal((await g.request('GET', '/api/me')).status, 401);
    assert.equal((await g.request('GET', '/api/me', { headers: { 'X-API-Key': key } })).status, 200);
    await page.getByRole('button', { name: /^Sign out/ }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL(/\/login$/);
  });
});
