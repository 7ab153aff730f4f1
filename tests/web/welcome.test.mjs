// The login, and the first run from nothing to the first conversation.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { after } from 'node:test';
import { eventually, Fake, McpServer, suite, tools, webtest } from './harness.mjs';
import { settled } from './lib/axe.mjs';

const AXE = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const KEY = 'the-key-of-this-house-0123456789';
const NOBODY = { ANTHROPIC_API_KEY: undefined, ANTHROPIC_BASE_URL: undefined, LLM_MODEL: undefined };
const SIGNED_OUT = /401 \(Unauthorized\)/;

const heading = (page, name) => page.getByRole('heading', { level: 1, name }).waitFor();
const press = (page, name) => page.getByRole('button', { name }).click();

async function accessible(page) {
  await settled(page);
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' | ')}`), [], page.url());
}

/** What a finger must hit is large enough. */
async function touchable(page) {
  const small = await page.evaluate(() => [...document.querySelectorAll('button, a[href], summary, select')].flatMap((e) => {
    const { width, height } = e.getBoundingClientRect();
    return width && (width < 44 || height < 44) ? `${e.outerHTML.slice(0, 80)} is ${Math.round(width)} x ${Math.round(height)}` : [];
  }));
  assert.deepEqual(small, []);
}

async function storedText(page) {
  return page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
}

suite('the first run', (start) => {
  const g = start({ env: NOBODY, fakeOptions: { args: ['--key', 'sk-fake-*'] }, mcp: { notes: { url: 'http://127.0.0.1:1/mcp' } } });

  webtest('ends in the first conversation', g, { introduced: false, phone: true }, async ({ page }) => {
    await heading(page, 'Who should do the thinking?');
    assert.match(page.url(), /\/welcome$/);
    await accessible(page);
    await touchable(page);
    await press(page, /Another service/);
    await heading(page, 'Connect a service');
    await press(page, 'Check');
    assert.equal(await page.getByText('This is needed.').count(), 1, 'the address');
    page.expected.push(/40[0-9] \(Bad Request\)|502 \(Bad Gateway\)/);
    await page.getByLabel('Address').fill(`${g.fake.url}/v1`);
    await page.getByLabel(/API key/).fill('sk-wrong-0123456789');
    await press(page, 'Check');
    await page.getByRole('alert').filter({ hasText: 'The service does not accept the API key' }).waitFor();
    await accessible(page);
    await page.getByLabel(/API key/).fill('sk-fake-of-the-user');
    await press(page, 'Check');

    await heading(page, 'Choose a model');
    assert.ok(await page.getByRole('radio', { name: 'fake-1' }).isChecked(), 'a good one is chosen before');
    await page.getByRole('radio', { name: 'fake-mini' }).check();
    await accessible(page);
    await touchable(page);
    await press(page, 'Use this model');

    await heading(page, 'Who are you?');
    assert.equal(await page.getByRole('combobox').inputValue(), 'Europe/Zurich', 'as the browser has it');
    await page.getByLabel('What should it call you?').fill('Robin');
    await press(page, 'My work');
    await page.keyboard.type('a bakery.');
    await accessible(page);
    await touchable(page);
    await press(page, 'Continue');

    await heading(page, 'What it can reach');
    await page.getByText('notes', { exact: true }).waitFor();
    await page.getByText('Does not answer').waitFor();
    await accessible(page);
    await press(page, 'Continue');

    await heading(page, 'Nice to meet you, Robin');
    await accessible(page);
    await touchable(page);
    await press(page, /plan my week/);
    const composer = page.getByRole('textbox', { name: 'Message' });
    await eventually(async () => /plan my week/.test(await composer.inputValue()), { what: 'the words in the composer' });
    assert.equal(new URL(page.url()).pathname, '/');
    await composer.fill('[say Good morning, Robin.]');
    await page.getByRole('button', { name: /^Send/ }).click();
    await page.getByText('Good morning, Robin.', { exact: true }).waitFor();

    // The thread's name is asked for beside the answer.
    const seen = (await g.fake.requests(5)).findLast((r) => /Good morning/.test(JSON.stringify(r.body)) && !/You name conversations/.test(JSON.stringify(r.body)));
    assert.equal(seen.body.model, 'fake-mini');
    assert.match(JSON.stringify(seen.body.messages[0]), /Their name is Robin\.[^]*My work: a bakery\./);
    assert.ok(!(await storedText(page)).includes('sk-fake'), 'the key is not kept in the browser');
    assert.ok(!(await page.content()).includes('sk-fake'));
    await page.goto(g.url);
    await composer.waitFor();
    assert.equal(new URL(page.url()).pathname, '/', 'it comes once');
  });
});

suite('the first run by keyboard', (start) => {
  const g = start({ env: NOBODY, fakeOptions: { args: ['--key', 'sk-fake-*'] } });
  const tabTo = async (page, name) => {
    for (let i = 0; i < 30; i++) {
      const here = await page.evaluate(() => document.activeElement?.getAttribute('aria-label') || document.activeElement?.textContent?.trim() || document.activeElement?.labels?.[0]?.textContent?.trim() || '');
      if (name.test(here)) return;
      await page.keyboard.press('Tab');
    }
    assert.fail(`no way to ${name} by keyboard`);
  };

  webtest('every step, and back', g, { introduced: false, dark: true }, async ({ page }) => {
    page.expected.push(/502 \(Bad Gateway\)/);
    await heading(page, 'Who should do the thinking?');
    await accessible(page);
    await tabTo(page, /^Ollama/);
    await page.keyboard.press('Enter');
    await heading(page, 'Connect Ollama');
    assert.equal(await page.evaluate(() => document.activeElement.value), 'http://localhost:11434', 'one may write at once');
    await page.keyboard.press('Control+A');
    await page.keyboard.type('http://127.0.0.1:1');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').filter({ hasText: 'cannot be reached' }).waitFor();
    await accessible(page);
    await tabTo(page, /^Back$/);
    await page.keyboard.press('Enter');
    await tabTo(page, /^Ollama/);
    await page.keyboard.press('Enter');
    await page.keyboard.press('Control+A');
    await page.keyboard.type(g.fake.url);
    await page.keyboard.press('Enter');
    await heading(page, 'Choose a model');
    await tabTo(page, /^fake-1/);
    await page.keyboard.press('ArrowDown');
    await accessible(page);
    await page.keyboard.press('Enter');
    await heading(page, 'Who are you?');
    await accessible(page);
    await tabTo(page, /^Time zone/);
    await page.keyboard.press('Control+A');
    await page.keyboard.type('reykj');
    await page.keyboard.press('Enter');
    assert.match(await page.getByRole('combobox').inputValue(), /Atlantic\/Reykjavik/);
    await tabTo(page, /^Continue$/);
    await page.keyboard.press('Enter');
    await heading(page, 'What it can reach');
    await page.getByText('No servers yet').waitFor();
    await page.getByText(/mcp\.json$/).waitFor();
    await accessible(page);
    await tabTo(page, /^Continue$/);
    await page.keyboard.press('Enter');
    await heading(page, 'You are all set');
    await accessible(page);
    await tabTo(page, /^Begin with words/);
    await page.keyboard.press('Enter');
    await page.getByRole('textbox', { name: 'Message' }).waitFor();
    const profile = (await g.get('/api/me/profile')).json;
    assert.deepEqual([profile.name, profile.time_zone], [null, 'Atlantic/Reykjavik']);
    assert.equal((await g.get('/api/models')).json.models[0].id, 'ollama:fake-mini');
  });
});

suite('a provider without a list', (start) => {
  const g = start({ env: NOBODY, fakeOptions: { args: ['--key', 'sk-fake-*'] } });

  webtest('the model is named by hand, and one that is unknown is told', g, { introduced: false }, async ({ page }) => {
    page.expected.push(/502 \(Bad Gateway\)/);
    await press(page, /Another service/);
    await page.getByLabel('Address').fill(`${g.fake.url}/lists/absent/v1`);
    await page.getByLabel(/API key/).fill('sk-fake-x');
    await press(page, 'Check');
    await page.getByRole('alert').filter({ hasText: 'The service has no list of models' }).waitFor();
    await press(page, 'Name the model myself');
    await page.getByLabel('Name of the model').fill('fake-7');
    await press(page, 'Use this model');
    await heading(page, 'Who are you?');
    assert.equal((await g.get('/api/models')).json.models[0].id, 'openai:fake-7');
    await press(page, 'Skip for now');
    await heading(page, 'What it can reach');
    await page.reload();
    await heading(page, 'Who are you?');
    assert.equal((await g.get('/api/me')).json.setup.profile, true, 'whoever skips is not asked again');
  });

  webtest('a long list is searched', g, { introduced: false }, async ({ page }) => {
    await g.request('DELETE', '/api/credentials/llm_openai');
    await page.goto(`${g.url}/welcome`);
    await press(page, /Another service/);
    await page.getByLabel('Address').fill(`${g.fake.url}/lists/huge/v1`);
    await press(page, 'Check');
    page.expected.push(/40[0-9] \(Bad Request\)/);
    await page.getByRole('alert').filter({ hasText: 'wants an API key' }).waitFor();
    await page.getByLabel(/API key/).fill('sk-fake-x');
    await press(page, 'Check');
    await page.getByText('495 more').waitFor();
    await page.getByRole('searchbox').fill('model 477');
    assert.ok(await page.getByRole('radio', { name: 'model-477' }).isChecked(), 'what is chosen is seen');
    assert.equal(await page.getByRole('radio').count(), 1);
    await page.getByRole('searchbox').fill('mine-1');
    assert.ok(await page.getByRole('radio', { name: /mine-1/ }).isChecked());
  });
});

suite('servers in the first run', (start) => {
  let server;
  const g = start({ before: async () => { server = await McpServer.start({ tools: [tools.echo, tools.count] }); }, mcp: () => ({ garden: server.definition() }) });
  after(() => server?.stop());

  webtest('those that answer say how many tools they have', g, { introduced: false }, async ({ page }) => {
    await heading(page, 'Who are you?');
    assert.equal(await page.getByRole('button', { name: 'Back' }).count(), 0, 'the operator\'s model answers: nothing to choose');
    await page.getByLabel('What should it call you?').fill('Robin');
    await press(page, 'Continue');
    await page.getByText('2 tools').waitFor();
    await accessible(page);
    await press(page, 'Back');
    assert.equal(await page.getByLabel('What should it call you?').inputValue(), 'Robin');
  });
});

suite('login', (start) => {
  const g = start({ key: KEY, env: { ASSISTANT_API_KEY: KEY } });

  webtest('with the key, to where one wanted to be; the key stays nowhere', g, { path: '/settings/profile', phone: true }, async ({ page, context }) => {
    page.expected.push(SIGNED_OUT);
    await heading(page, 'Sign in');
    await accessible(page);
    await touchable(page);
    await press(page, 'Sign in');
    await page.getByText('Paste your key first.').waitFor();
    const field = page.getByLabel('API key');
    assert.deepEqual([await field.getAttribute('type'), await field.getAttribute('autocomplete')], ['password', 'current-password']);
    await field.fill('not-the-key');
    await page.keyboard.press('Enter');
    await page.getByText('This key is not known here.').waitFor();
    await accessible(page);
    await field.fill(KEY);
    await page.keyboard.press('Enter');
    await page.waitForURL('**/settings/profile');
    await page.getByLabel(/name|call/i).first().waitFor();
    assert.ok(!(await storedText(page)).includes(KEY));
    assert.ok(!(await page.content()).includes(KEY));
    const [cookie] = await context.cookies();
    assert.deepEqual([cookie.name, cookie.httpOnly, cookie.sameSite], ['adjutant_session', true, 'Strict']);
  });

  webtest('too many attempts: told how long, and the button waits', g, { dark: true }, async ({ page }) => {
    page.expected.push(SIGNED_OUT, /429 \(Too Many Requests\)/);
    await heading(page, 'Sign in');
    for (let i = 0; i < 11; i++) await g.request('POST', '/api/login', { body: { key: `guess-${i}` } });
    await page.getByLabel('API key').fill('one-more');
    await page.keyboard.press('Enter');
    await page.getByText(/Too many attempts\. Try again in \d+ seconds?\./).waitFor();
    assert.ok(await page.getByRole('button', { name: 'Sign in' }).isDisabled());
    await accessible(page);
  });
});

suite('the first login', (start) => {
  const g = start({ key: KEY, env: { ASSISTANT_API_KEY: KEY } });

  webtest('with the operator\'s model leads to who one is', g, { introduced: false }, async ({ page }) => {
    page.expected.push(SIGNED_OUT);
    await page.getByLabel('API key').fill(KEY);
    await press(page, 'Sign in');
    await heading(page, 'Who are you?');
    await press(page, 'Skip for now');
    await press(page, 'Continue');
    await press(page, /Begin with words/);
    await page.getByRole('textbox', { name: 'Message' }).waitFor();
  });
});

suite('login against a house that is away', (start) => {
  const g = start({ key: KEY, env: { ASSISTANT_API_KEY: KEY } });

  webtest('says so, and keeps what was pasted', g, async ({ page }) => {
    page.expected.push(SIGNED_OUT, /Failed to load resource/);
    await heading(page, 'Sign in');
    await page.getByLabel('API key').fill(KEY);
    await g.stop();
    await press(page, 'Sign in');
    await page.getByText('Adjutant does not answer.').waitFor();
    assert.equal(await page.getByLabel('API key').inputValue(), KEY);
    await g.begin();
    await press(page, 'Sign in');
    await page.getByRole('textbox', { name: 'Message' }).waitFor();
  });
});
