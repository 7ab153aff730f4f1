// Tools of MCP servers as the model and the user see them: names, schemas that providers would
// refuse, the search among many, policies, results.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { BACKENDS, createUser, eachBackend, eventually, gateway, McpServer, tools } from './harness.mjs';

const object = (properties = {}, more = {}) => ({ type: 'object', properties, ...more });
const READS = { readOnlyHint: true };
const says = (text) => async () => ({ content: [{ type: 'text', text }] });

/** As many tools as make a search worth while. */
const many = [
  ...Array.from({ length: 64 }, (_, i) => ({
    name: `shelf_${i}`, description: `Looks at shelf number ${i}.`, annotations: READS, inputSchema: object(), run: says(`shelf ${i}`),
  })),
  {
    name: 'plants.water', title: 'Water plants', description: 'Waters a plant in the garden.\nUse it daily.', annotations: READS,
    inputSchema: object({ plant: { type: 'string' } }), run: async ({ arguments: { plant } }) => says(`${plant} was watered`)(),
  },
  { name: 'burn', description: 'Burns it all.', annotations: { destructiveHint: true }, inputSchema: object(), run: says('ashes') },
];

/** Each costs a whole request at one provider or another when it is passed on as it is. */
const odd = [
  { name: 'echo', description: 'Another server has this name too.', annotations: READS, inputSchema: object(), run: says('odd echo') },
  {
    name: 'refers', description: 'Refers.', annotations: READS,
    inputSchema: { $schema: 'https://json-schema.org/draft/2020-12/schema', ...object({ tree: { $ref: '#/$defs/node' } }),
      $defs: { node: object({ kids: { type: 'array', items: { $ref: '#/$defs/node' } } }) } },
    run: says('refers'),
  },
  {
    name: 'either', description: 'Either.', annotations: READS,
    inputSchema: { type: 'object', oneOf: [{ required: ['a'], properties: { a: {} } }, { required: ['b'], properties: { b: { type: 'array' } } }] },
    run: says('either'),
  },
  {
    name: 'filters', description: 'Filters.', annotations: READS,
    inputSchema: object({ 'filter[id]': { type: 'string' }, $top: { type: 'integer' } }),
    run: async ({ arguments: a }) => says(JSON.stringify(a))(),
  },
  { name: 'text_only', description: 'Wants a text.', annotations: READS, inputSchema: { type: 'string' }, run: says('never') },
  {
    name: 'huge', description: 'Huge.', annotations: READS,
    inputSchema: object(Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`property_${i}`, { type: 'string' }]))), run: says('never'),
  },
];

const list = async (u, query = '') => {
  const r = await u.call('GET', `/api/tools${query}`);
  assert.equal(r.status, 200, r.text);
  return r.json.tools;
};
const find = async (u, server, tool) => (await list(u)).find((t) => t.server === server && t.tool === tool);
/** Users with keys. An open instance takes some seconds to see that it is open no more. */
async function users(g, ...names) {
  const all = await Promise.all(names.map((u) => createUser(g, u)));
  await eventually(async () => (await g.request('GET', '/api/policies')).status === 401 || g.db, { what: 'keys that count' });
  return all;
}
const says_back = async (u, message) => (await u.chat(message)).message.content;
const seen = async (u, message = '[echo-tools]') => (await says_back(u, message)).split(' ');

eachBackend('tools', (start) => {
  let big, small;
  before(async () => {
    big = await McpServer.start({ name: 'big', tools: many });
    small = await McpServer.start({ name: 'small', tools: [tools.echo, tools.structured] });
  });
  after(async () => {
    await big.stop();
    await small.stop();
  });
  const g = start({ mcp: () => ({ big: big.definition({ pinned: ['shelf_7'] }), small: small.definition() }) });
  let ann, bob;
  before(async () => {
    [ann, bob] = await users(g, 'ann', 'bob');
    for (const u of [ann, bob]) await eventually(async () => (await find(u, 'big', 'burn')) && find(u, 'small', 'echo'), { what: 'both lists' });
  });

  test('the list says what each tool is called and what happens when it is', async () => {
    const calculate = await find(ann, '', 'calculate');
    assert.deepEqual([calculate.name, calculate.policy, calculate.shown], ['calculate', 'allow', 'direct']);
    const water = await find(ann, 'big', 'plants.water');
    assert.deepEqual([water.name, water.title, water.policy, water.policy_source, water.shown, water.read_only],
      ['big_plants_water', 'Water plants', 'allow', 'default', 'search', true]);
    const burn = await find(ann, 'big', 'burn');
    assert.deepEqual([burn.policy, burn.destructive, burn.quarantined], ['ask', true, null]);
    assert.equal((await list(ann, '?server=small')).length, 2);
  });

  test('of many tools the model sees few, and what it finds joins its turn', async () => {
    const before = await seen(ann);
    assert.ok(before.includes('search_tools') && before.includes('shelf_7') && before.includes('calculate'), before.join());
    assert.ok(before.length < 10, before.join());
    const hits = await says_back(ann, '[tool search_tools {"query":"watering the plants","limit":2}] [then] [echo-results]');
    assert.match(hits, /big_plants_water \(big\): Waters a plant in the garden\./);
    const r = await says_back(ann, '[tool search_tools {"query":"watering the plants"}] [then] [tool big_plants_water {"plant":"the fern"}] [then] [echo-results]');
    assert.match(r, /the fern was watered/);
    assert.equal(big.executions('plants.water'), 1);
    const found = await seen(ann, '[tool search_tools {"query":"garden"}] [then] [echo-tools]');
    assert.ok(found.includes('big_plants_water'), found.join());
    assert.ok(!(await seen(ann)).includes('big_plants_water'), 'the next turn begins anew');
  });

  test('a turn of a skill uses the servers of that skill', async () => {
    const definitions = { big: big.definition({ pinned: ['shelf_7'] }), small: small.definition() };
    g.configure(definitions, { skillServers: { gardening: ['small'] } });
    await eventually(async () => (await list(ann, '?skill=gardening')).every((t) => t.server !== 'big' || t.shown === 'never'), { what: 'the new file' });
    const turn = async (more) => (await ann.chat('[echo-tools]', more)).message.content.split(' ');
    const names = await turn({ skill: 'gardening' });
    assert.ok(names.includes('echo') && names.includes('calculate'), names.join());
    assert.ok(!names.includes('shelf_7') && !names.includes('search_tools'), names.join());
    assert.ok((await turn({})).includes('shelf_7'));
    g.configure(definitions);
  });

  test('a denied tool is hidden, refused and not found; the others\' are not', async () => {
    assert.equal((await ann.call('PUT', '/api/policies', { server: 'big', tool: 'plants.water', policy: 'deny' })).status, 200);
    const water = await find(ann, 'big', 'plants.water');
    assert.deepEqual([water.policy, water.policy_source, water.shown], ['deny', 'tool', 'never']);
    const hits = await says_back(ann, '[tool search_tools {"query":"watering the plants"}] [then] [echo-results]');
    assert.doesNotMatch(hits, /Waters a plant/);
    const r = await says_back(ann, '[tool big_plants_water {"plant":"the rose"}] [then] [echo-results]');
    assert.match(r, /does not allow/);
    assert.equal(big.called('plants.water').filter((c) => c.arguments.plant === 'the rose').length, 0);
    assert.equal((await find(bob, 'big', 'plants.water')).shown, 'search');
    assert.deepEqual((await ann.call('GET', '/api/policies')).json.policies.map((p) => [p.server, p.tool, p.policy]), [['big', 'plants.water', 'deny']]);
    assert.deepEqual((await bob.call('GET', '/api/policies')).json.policies, []);
    assert.equal((await ann.call('DELETE', '/api/policies?server=big&tool=plants.water')).status, 204);
    assert.equal((await ann.call('DELETE', '/api/policies?server=big&tool=plants.water')).status, 404);
    assert.equal((await find(ann, 'big', 'plants.water')).policy_source, 'default');
  });

  test('a rule for a server holds for its tools without rules of their own; what is allowed by name is shown', async () => {
    assert.equal((await bob.call('PUT', '/api/policies', { server: 'big', tool: '*', policy: 'deny' })).status, 200);
    assert.equal((await bob.call('PUT', '/api/policies', { server: 'big', tool: 'burn', policy: 'allow' })).status, 200);
    const names = await seen(bob);
    assert.ok(names.includes('burn') && names.includes('echo') && !names.some((n) => n.startsWith('shelf_')), names.join());
    assert.deepEqual([(await find(bob, 'big', 'shelf_3')).policy_source, (await find(bob, 'big', 'burn')).policy_source], ['server', 'tool']);
    const r = await says_back(bob, '[tool burn {}] [then] [echo-results]');
    assert.match(r, /ashes/);
    for (const tool of ['*', 'burn']) await bob.call('DELETE', `/api/policies?server=big&tool=${encodeURIComponent(tool)}`);
  });

  test('structured content is text where there is no other', async () => {
    assert.match(await says_back(ann, '[tool structured {}] [then] [echo-results]'), /"degrees":21\.5/);
  });
});

describe('tools that providers refuse, and pictures', { concurrency: 1 }, () => {
  for (const provider of ['anthropic', 'openai', 'ollama']) {
    describe(provider, () => {
      let first, second;
      before(async () => {
        first = await McpServer.start({ name: 'first', tools: odd });
        second = await McpServer.start({ name: 'second', tools: [tools.echo, tools.picture] });
      });
      after(async () => {
        await first.stop();
        await second.stop();
      });
      const g = gateway({ backend: BACKENDS[0], provider, mcp: () => ({ first: first.definition(), second: second.definition() }) });

      test('cost nobody else anything, and say why', async () => {
        const [u] = await users(g, 'me');
        await eventually(async () => (await find(u, 'first', 'echo')) && find(u, 'second', 'echo'), { what: 'both lists' });
        const all = await list(u, '?server=first');
        const of = (tool) => all.find((t) => t.tool === tool);
        for (const bad of ['text_only', 'huge']) {
          assert.equal(of(bad).name, null);
          assert.equal(of(bad).shown, 'never');
          assert.ok(of(bad).quarantined.length > 10, of(bad).quarantined);
        }
        const names = await seen(u);
        for (const name of ['first_echo', 'second_echo', 'refers', 'either', 'filters']) assert.ok(names.includes(name), `${name}: ${names}`);
        assert.ok(!names.includes('huge') && !names.includes('text_only') && !names.includes('search_tools'));
        const keys = provider === 'anthropic' ? { filter_id: 'x', _top: 5 } : { 'filter[id]': 'x', $top: 5 };
        await says_back(u, `[tool filters ${JSON.stringify(keys)}] [then] [echo-results]`);
        assert.deepEqual(first.called('filters').at(-1).arguments, { 'filter[id]': 'x', $top: 5 });
        assert.match(await says_back(u, '[tool picture {}] [then] [echo-results]'), /a pixel:\s*<image>/);
      });
    });
  }
});
