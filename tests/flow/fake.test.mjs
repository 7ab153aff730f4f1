// The fake model itself: what it refuses decides what the other tests prove.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Fake, request } from './harness.mjs';

const KEY = 'sk-fake-0123456789abcdef';
let fake;
before(async () => { fake = await Fake.start({ key: KEY }); });
after(() => fake.stop());

const post = (path, headers, body) => request(fake.url, 'POST', path, { headers, body });
const anthropic = (body, headers = { 'x-api-key': KEY, 'anthropic-version': '2023-06-01' }) =>
  post('/v1/messages', headers, { model: 'm', max_tokens: 4096, ...body });
const openai = (body, headers = { authorization: `Bearer ${KEY}` }) => post('/v1/chat/completions', headers, { model: 'm', ...body });
const ollama = (body, headers = { authorization: `Bearer ${KEY}` }) => post('/api/chat', headers, { model: 'm', stream: false, ...body });

const user = (content) => ({ role: 'user', content });
const assistant = (content) => ({ role: 'assistant', content });
const use = (id, name = 'x') => ({ type: 'tool_use', id, name, input: {} });
const fn = (name, parameters = { type: 'object' }) => ({ type: 'function', function: { name, parameters } });
const result = (id) => ({ type: 'tool_result', tool_use_id: id, content: 'r' });

async function refused(answer, status, pattern) {
  const r = await answer;
  assert.equal(r.status, status, r.text);
  assert.match(r.text, pattern);
}

describe('Anthropic', () => {
  const cases = {
    'no key': [{ messages: [user('x')] }, 401, /authentication_error/, { 'anthropic-version': '1' }],
    'no version': [{ messages: [user('x')] }, 400, /anthropic-version/, { 'x-api-key': KEY }],
    'no messages': [{ messages: [] }, 400, /at least one message/],
    'no max_tokens': [{ max_tokens: undefined, messages: [user('x')] }, 400, /max_tokens: Field required/],
    'the assistant first': [{ messages: [assistant('x'), user('y')] }, 400, /first message must use/],
    'a result that comes a turn late': [{ messages: [user('x'), assistant([use('a')]), user('y'), user([result('a')])] }, 400, /must come first/],
    'prefill': [{ messages: [user('x'), assistant('y')] }, 400, /prefill/],
    'system role': [{ messages: [{ role: 'system', content: 'x' }] }, 400, /Unexpected role/],
    'unknown member': [{ messages: [{ ...user('x'), id: '1' }] }, 400, /Extra inputs/],
    'unknown parameter': [{ messages: [user('x')], user: 'me' }, 400, /Extra inputs/],
    'empty text': [{ messages: [user([{ type: 'text', text: '' }])] }, 400, /non-empty/],
    'blank text': [{ messages: [user([{ type: 'text', text: ' \n' }])] }, 400, /non-whitespace/],
    'call without result': [{ messages: [user('x'), assistant([use('a')]), user('y')] }, 400, /without `tool_result`/],
    'one of two results': [{ messages: [user('x'), assistant([use('a'), use('b')]), user([result('a')])] }, 400, /without `tool_result`/],
    'result without call': [{ messages: [user('x'), assistant('y'), user([result('a')])] }, 400, /unexpected `tool_use_id`/],
    'result behind text': [{ messages: [user('x'), assistant([use('a')]), user([{ type: 'text', text: 'y' }, result('a')])] }, 400, /must come first/],
    'same id twice': [{ messages: [user('x'), assistant([use('a')]), user([result('a')]), assistant([use('a')]), user([result('a')])] }, 400, /must be unique/],
    'arguments as text': [{ messages: [user('x'), assistant([{ ...use('a'), input: '{}' }]), user([result('a')])] }, 400, /valid dictionary/],
    'bad id': [{ messages: [user('x'), assistant([use('a b')]), user([result('a b')])] }, 400, /should match pattern/],
    'forged thinking': [{ messages: [user('x'), assistant([{ type: 'thinking', thinking: 'h', signature: 'c2ln' }, { type: 'text', text: 'y' }]), user('z')] }, 400, /Invalid `signature`/],
    'thinking left out': [{ thinking: { type: 'enabled', budget_tokens: 1024 }, messages: [user('x'), assistant([use('a')]), user([result('a')])] }, 400, /must start with a thinking block/],
    'five cache marks': [{ system: Array(5).fill({ type: 'text', text: 'x', cache_control: { type: 'ephemeral' } }), messages: [user('x')] }, 400, /maximum of 4/],
    'schema without type': [{ messages: [user('x')], tools: [{ name: 'a', input_schema: {} }] }, 400, /should be 'object'/],
    'a union at the root of a schema': [{ messages: [user('x')], tools: [{ name: 'a', input_schema: { type: 'object', anyOf: [{}] } }] }, 400, /top level/],
    'a reference in a schema': [{ messages: [user('x')], tools: [{ name: 'a', input_schema: { type: 'object', properties: { b: { $ref: '#/x' } } } }] }, 400, /\$ref/],
    'the same tool twice': [{ messages: [user('x')], tools: Array(2).fill({ name: 'a', input_schema: { type: 'object' } }) }, 400, /unique/],
    'bad image': [{ messages: [user([{ type: 'image', source: { type: 'base64', media_type: 'image/bmp', data: 'AAAA' } }])] }, 400, /media_type/],
    'missing model': [{ model: 'missing-1', messages: [user('x')] }, 404, /not_found_error/],
  };
  for (const [name, [body, status, pattern, headers]] of Object.entries(cases)) {
    test(`refuses ${name}`, () => refused(anthropic(body, headers), status, pattern));
  }

  test('its own thinking comes back accepted, changed it does not', async () => {
    const first = (await anthropic({ messages: [user('[reason 5] [tool x {}]')] })).json;
    assert.deepEqual(first.content.map((b) => b.type), ['thinking', 'tool_use']);
    const id = first.content[1].id;
    const again = (content) => anthropic({ messages: [user('[reason 5] [tool x {}]'), assistant(content), user([result(id)])] });
    assert.equal((await again(first.content)).status, 200);
    await refused(again(first.content.slice(1)), 400, /must start with a thinking block/);
    await refused(again([{ ...first.content[0], thinking: 'else' }, first.content[1]]), 400, /Invalid `signature`/);
  });

  test('messages of one role in a row are one turn', async () => {
    const split = { messages: [user('x'), user('y'), assistant([use('a'), use('b')]), user([result('a')]), user([result('b')]), user('[echo-messages]')] };
    assert.match((await anthropic(split)).text, /6 messages/);
  });

  test('a prefix that was seen is read from the cache', async () => {
    const body = { system: [{ type: 'text', text: `${Math.random()} ${'long '.repeat(100)}`, cache_control: { type: 'ephemeral' } }], messages: [user('x')] };
    const [one, two] = [(await anthropic(body)).json.usage, (await anthropic(body)).json.usage];
    assert.ok(one.cache_creation_input_tokens > 100 && one.cache_read_input_tokens === 0);
    assert.equal(two.cache_read_input_tokens, one.cache_creation_input_tokens);
  });
});

describe('OpenAI', () => {
  const call = (id) => ({ id, type: 'function', function: { name: 'x', arguments: '{}' } });
  const calls = (...ids) => ({ role: 'assistant', content: null, tool_calls: ids.map(call) });
  const tool = (id) => ({ role: 'tool', tool_call_id: id, content: 'r' });
  const cases = {
    'no key': [{ messages: [user('x')] }, 401, /API key/, {}],
    'a wrong key': [{ messages: [user('x')] }, 401, /invalid_api_key/, { authorization: 'Bearer no' }],
    'unknown parameter': [{ messages: [user('x')], max_output: 3 }, 400, /Unrecognized request argument/],
    'call without tool message': [{ messages: [user('x'), calls('a'), user('y')] }, 400, /must be followed by tool messages/],
    'call without tool message at the end': [{ messages: [user('x'), calls('a', 'b'), tool('a')] }, 400, /did not have response messages: b/],
    'tool message without call': [{ messages: [user('x'), tool('a')] }, 400, /preceeding message/],
    'content null without calls': [{ messages: [user('x'), assistant(null), user('y')] }, 400, /got null/],
    'empty calls': [{ messages: [user('x'), { role: 'assistant', content: 'y', tool_calls: [] }] }, 400, /empty array/],
    'long id': [{ messages: [user('x'), calls('a'.repeat(41)), tool('a'.repeat(41))] }, 400, /maximum length 40/],
    'arguments as object': [{ messages: [user('x'), { ...calls('a'), tool_calls: [{ ...call('a'), function: { name: 'x', arguments: {} } }] }] }, 400, /arguments/],
    'stream options without stream': [{ messages: [user('x')], stream_options: {} }, 400, /only allowed when/],
    'both maxima': [{ messages: [user('x')], max_tokens: 1, max_completion_tokens: 1 }, 400, /at the same time/],
    'empty tools': [{ messages: [user('x')], tools: [] }, 400, /empty array/],
    'unknown member': [{ messages: [{ ...user('x'), id: '1' }] }, 400, /Unknown parameter/],
    'an image that is none': [{ messages: [user([{ type: 'image_url', image_url: { url: 'data:text/plain;base64,AAAA' } }])] }, 400, /image_url/],
    'a tool\'s long name': [{ messages: [user('x')], tools: [fn('a'.repeat(65))] }, 400, /pattern/],
    'an array of nothing': [{ messages: [user('x')], tools: [fn('a', { type: 'object', properties: { b: { type: 'array' } } })] }, 400, /missing items/],
    'too many tools': [{ messages: [user('x')], tools: Array.from({ length: 129 }, (_, i) => fn(`t${i}`)) }, 400, /maximum length 128/],
    'missing model': [{ model: 'missing-1', messages: [user('x')] }, 404, /model_not_found/],
  };
  for (const [name, [body, status, pattern, headers]] of Object.entries(cases)) {
    test(`refuses ${name}`, () => refused(openai(body, headers), status, pattern));
  }

  test('answers a round of calls', async () => {
    const ask = user('[tool x {"a":1}] [tool y {}]');
    const { message, finish_reason: reason } = (await openai({ messages: [ask] })).json.choices[0];
    assert.equal(reason, 'tool_calls');
    assert.deepEqual(message.tool_calls.map((c) => [c.function.name, c.function.arguments]), [['x', '{"a":1}'], ['y', '{}']]);
    const results = message.tool_calls.map((c) => ({ role: 'tool', tool_call_id: c.id, content: `of ${c.function.name}` }));
    const next = (await openai({ messages: [ask, { role: 'assistant', content: null, tool_calls: message.tool_calls }, ...results] })).json;
    assert.equal(next.choices[0].message.content, 'x says: of x\ny says: of y');
  });
});

describe('Ollama', () => {
  const cases = {
    'no model': [{ model: '', messages: [user('x')] }, 400, /model is required/],
    'content as list': [{ messages: [user([{ type: 'text', text: 'x' }])] }, 400, /cannot unmarshal/],
    'arguments as text': [{ messages: [user('x'), { ...assistant(''), tool_calls: [{ function: { name: 'x', arguments: '{}' } }] }] }, 400, /cannot unmarshal/],
    'unknown role': [{ messages: [{ role: 'developer', content: 'x' }] }, 400, /invalid role/],
    'bad image': [{ messages: [{ ...user('x'), images: ['data:image/png;base64,AA=='] }] }, 400, /illegal base64/],
    'missing model': [{ model: 'missing-1', messages: [user('x')] }, 404, /not found/],
  };
  for (const [name, [body, status, pattern]] of Object.entries(cases)) {
    test(`refuses ${name}`, () => refused(ollama(body), status, pattern));
  }
});

describe('the script', () => {
  const say = async (text, more = {}) => (await openai({ messages: [user(text)], ...more }));
  const content = async (text, more) => (await say(text, more)).json.choices[0].message.content;

  test('directives', async () => {
    assert.equal(await content('[say exactly this, please]'), 'exactly this, please');
    assert.equal((await content('[tokens 7]')).trim().split(' ').length, 7);
    assert.equal((await content('[big 12345]')).length, 12345);
    assert.equal((await say('[length]')).json.choices[0].finish_reason, 'length');
    assert.equal((await say('[refuse]')).json.choices[0].finish_reason, 'content_filter');
    assert.match(await content('a [b] c'), /You said: "a \[b\] c"/);
  });

  test('a tool is found behind the prefix of its server', async () => {
    const names = async (text) => (await say(text, { tools: ['calculate', 'srv_echo', 'srv_re_echo'].map((n) => fn(n)) }))
      .json.choices[0].message.tool_calls.map((c) => c.function.name);
    assert.deepEqual(await names('[tool echo {}] [tool calculate {}] [tool re_echo {}] [tool cho {}]'), ['srv_echo', 'calculate', 'srv_re_echo', 'cho']);
  });

  test('pictures behind results belong to them', async () => {
    const ask = user('[tool x {}] [then] [echo-results]');
    const { message } = (await openai({ messages: [ask] })).json.choices[0];
    const messages = [ask, { role: 'assistant', content: null, tool_calls: message.tool_calls }, { role: 'tool', tool_call_id: message.tool_calls[0].id, content: 'see:' },
      user([{ type: 'text', text: 'Images:' }, { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }])];
    assert.equal((await openai({ messages })).json.choices[0].message.content, 'x says: see:<image>');
  });

  test('errors with Retry-After', async () => {
    const r = await say('[status 429 retry 2]');
    assert.equal(r.status, 429);
    assert.equal(r.headers['retry-after'], '2');
  });

  test('fails the first times of a conversation only', async () => {
    const text = `[fail-times 2 503] [say fine] ${Math.random()}`;
    assert.equal((await say(text)).status, 503);
    assert.equal((await say(text)).status, 503);
    assert.equal(await content(text), 'fine');
    assert.equal((await say(`${text} `)).status, 503);
  });

  test('the log has hashes of keys, never keys', async () => {
    await say('remember me');
    const log = await request(fake.url, 'GET', '/requests?last=1');
    assert.match(log.text, /remember me/);
    assert.match(log.json.requests[0].headers.key_sha256, /^[0-9a-f]{64}$/);
    assert.ok(!log.text.includes(KEY));
  });

  test('arithmetic and the time become calls when there are tools for them', async () => {
    const tools = ['current_time', 'calculate'].map((name) => ({ type: 'function', function: { name, parameters: { type: 'object' } } }));
    const first = async (text) => (await say(text, { tools })).json.choices[0].message.tool_calls?.[0].function;
    assert.deepEqual(await first('What time is it?'), { name: 'current_time', arguments: '{}' });
    assert.deepEqual(await first('and 12 * (3 + 4)?'), { name: 'calculate', arguments: '{"expression":"12 * (3 + 4)"}' });
    assert.equal(await first('I have 2 cats.'), undefined);
  });
});
