import { expect, test } from 'vitest';
import { matching, problemOf } from '../../src/settings/connections';
import {
  formFor,
  isService,
  kindOf,
  valueOfFields,
  valueOfJson,
} from '../../src/settings/credentials';
import { findModels, keyValue, modelName, usableModels } from '../../src/settings/models';
import { findZones, isZone, sizeOf } from '../../src/settings/profile';
import type { McpConnection } from '../../src/settings/types';

test('a credential is for a model, a permission, or something of the user', () => {
  expect(kindOf('llm_openai')).toEqual({ type: 'model' });
  expect(kindOf('mcp:wiki')).toEqual({ type: 'permission', server: 'wiki' });
  expect(kindOf('garmin')).toEqual({ type: 'own' });
});

test('names of services', () => {
  for (const good of ['a', 'my.service-2', 'x'.repeat(64)]) expect(isService(good)).toBe(true);
  for (const bad of ['', 'My', 'a b', 'ä', 'a/b', 'x'.repeat(65)])
    expect(isService(bad)).toBe(false);
});

test('fields become a value, or none when something is wrong with them', () => {
  expect(valueOfFields([{ name: ' token ', value: ' abc ' }])).toEqual({ token: 'abc' });
  expect(
    valueOfFields([
      { name: 'a', value: '1' },
      { name: 'b', value: '' },
    ]),
  ).toEqual({ a: '1' });
  expect(valueOfFields([{ name: '', value: '1' }])).toBeNull();
  expect(
    valueOfFields([
      { name: 'a', value: '1' },
      { name: 'a', value: '2' },
    ]),
  ).toBeNull();
  expect(valueOfFields([{ name: 'a', value: '' }])).toBeNull();
});

test('only an object counts as JSON', () => {
  expect(valueOfJson('{"a":{"b":1}}')).toEqual({ a: { b: 1 } });
  for (const bad of ['', '[]', '"a"', 'null', '{']) expect(valueOfJson(bad)).toBeNull();
});

test('services that the gateway knows have their fields', () => {
  expect(formFor('splitwise').fields[0]!.name).toBe('api_key');
  expect(formFor('garmin').as).toBe('json');
  expect(formFor('other')).toEqual({ as: 'fields', fields: [{ name: '', value: '' }] });
});

test('what was left empty is not sent with a model key', () => {
  expect(keyValue({ key: ' sk-1 ', url: '', model: ' ' })).toEqual({ api_key: 'sk-1' });
  expect(keyValue({ key: '', url: 'http://o', model: 'm' })).toEqual({
    base_url: 'http://o',
    preferred_model: 'm',
  });
});

test('models are found by id and name, and keep their order', () => {
  const models = [{ id: 'z-1', name: 'Zed One' }, { id: 'a-1' }, { id: 'a-2' }];
  expect(findModels(models, '')).toEqual(['z-1', 'a-1', 'a-2']);
  expect(findModels(models, 'zed')).toEqual(['z-1']);
  expect(modelName(models, 'z-1')).toBe('Zed One (z-1)');
  expect(modelName(models, 'a-1')).toBe('a-1');
});

test('the default model comes first', () => {
  const model = (id: string, isDefault = false) => ({
    id,
    provider: id.split(':')[0]!,
    model: id.split(':')[1]!,
    default: isDefault,
    key_owner: 'user' as const,
  });
  const sorted = usableModels([model('b:1'), model('a:2'), model('c:3', true), model('a:1')]);
  expect(sorted.map((m) => m.id)).toEqual(['c:3', 'a:1', 'a:2', 'b:1']);
});

test('a search takes words in any order, and an empty one takes all', () => {
  const items = ['Create an issue', 'Close an issue', 'List'];
  expect(matching(items, 'ISSUE cr', (i) => i)).toEqual(['Create an issue']);
  expect(matching(items, '  ', (i) => i)).toEqual(items);
});

test('the link of a server that asks for permission is not shown: the button is there', () => {
  const connection = (more: Partial<McpConnection>) => ({ oauth: true, ...more }) as McpConnection;
  const asks = 'wiki needs your permission: open http://127.0.0.1:1/oauth/start?link=abc';
  expect(problemOf(connection({ state: 'unauthorized', error: asks }))).toBe(
    'wiki needs your permission.',
  );
  expect(problemOf(connection({ state: 'unreachable', error: 'refused' }))).toBe('refused.');
  expect(problemOf(connection({ state: 'ready', error: null }))).toBeNull();
});

test('time zones by city first, with or without underscores', () => {
  const all = ['America/New_York', 'Europe/Vienna', 'Australia/Yancowinna', 'America/Yakutat'];
  expect(findZones(all, 'new york')).toEqual(['America/New_York']);
  expect(findZones(all, 'europe vi')).toEqual(['Europe/Vienna']);
  expect(findZones(all, 'ya')[0]).toBe('Australia/Yancowinna');
  expect(findZones(all, '')).toEqual(all);
  expect(findZones(all, 'mars')).toEqual([]);
});

test('zones that exist, and texts in bytes', () => {
  expect(isZone('Europe/Vienna')).toBe(true);
  expect(isZone('Vienna')).toBe(false);
  expect(isZone('+01:00')).toBe(false);
  expect(sizeOf('aé😀')).toBe(7);
});
