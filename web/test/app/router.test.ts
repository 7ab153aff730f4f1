import { expect, test, vi } from 'vitest';

vi.stubGlobal('location', { pathname: '/' });
vi.stubGlobal('addEventListener', () => {});
vi.stubGlobal('document', { addEventListener: () => {} });
const { routeOf, threadPath } = await import('../../src/app/router.svelte');

test('addresses lead to screens', () => {
  expect(routeOf('/')).toEqual({ screen: 'chat', threadId: null });
  expect(routeOf(threadPath('a b'))).toEqual({ screen: 'chat', threadId: 'a b' });
  expect(routeOf('/settings/models')).toEqual({ screen: 'settings', page: 'models' });
});

test('an address that nobody made is no reason to break', () => {
  expect(routeOf('/t/%E0%A4%A')).toEqual({ screen: 'chat', threadId: '%E0%A4%A' });
  expect(routeOf('/%')).toEqual({ screen: 'chat', threadId: null });
});
