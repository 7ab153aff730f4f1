import { expect, test } from 'vitest';
import { way } from '../../src/app/way';

const chat = { screen: 'chat', threadId: null } as const;
const thread = { screen: 'chat', threadId: 't1' } as const;

test('to the login and back to where one was', () => {
  expect(way('signed-out', true, thread, '/')).toBe('/login');
  expect(way('signed-out', true, { screen: 'login' }, '/t/t1')).toBeNull();
  expect(way('ready', true, { screen: 'login' }, '/t/t1')).toBe('/t/t1');
});

test('nobody is sent anywhere before it is known who they are', () => {
  expect(way('loading', true, chat, '/')).toBeNull();
  expect(way('failed', true, { screen: 'login' }, '/')).toBeNull();
});

test('the first run, which keeps nobody from settings and old threads', () => {
  expect(way('ready', false, chat, '/')).toBe('/welcome');
  expect(way('ready', false, thread, '/')).toBeNull();
  expect(way('ready', false, { screen: 'settings', page: '' }, '/')).toBeNull();
  expect(way('ready', true, chat, '/')).toBeNull();
});
