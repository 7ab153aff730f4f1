import { beforeEach, expect, test, vi } from 'vitest';

const kept = new Map<string, string>();
vi.stubGlobal('localStorage', {
  getItem: (key: string) => kept.get(key) ?? null,
  setItem: (key: string, value: string) => void kept.set(key, value),
});
const { Seen } = await import('../../src/threads/seen.svelte');

const thread = (
  id: string,
  updated_at: string,
  state?: 'running' | 'interrupted',
  message_count = 2,
) => ({
  message_count,
  id,
  updated_at,
  open_turn: state ? { id: 'x', state } : null,
});

beforeEach(() => kept.clear());

test('what is older than the first visit was seen', () => {
  const seen = new Seen();
  expect(seen.isUnread(thread('a', '2020-01-01T00:00:00Z'))).toBe(false);
  expect(seen.isUnread(thread('a', '2999-01-01T00:00:00Z'))).toBe(true);
});

test('seen is seen, until it changes again', () => {
  const seen = new Seen();
  seen.mark(thread('a', '2999-01-01T00:00:00Z'));
  expect(seen.isUnread(thread('a', '2999-01-01T00:00:00Z'))).toBe(false);
  // An answer does not change the thread's time, only the number of messages.
  expect(seen.isUnread(thread('a', '2999-01-01T00:00:00Z', undefined, 3))).toBe(true);
  expect(seen.isUnread(thread('b', '2999-01-01T00:00:00Z'))).toBe(true);
});

test('while it is being answered nothing is unread; a question is', () => {
  const seen = new Seen();
  expect(seen.isUnread(thread('a', '2999-01-01T00:00:00Z', 'running'))).toBe(false);
  expect(seen.isUnread(thread('a', '2999-01-01T00:00:00Z', 'interrupted'))).toBe(true);
});

test('the first visit stays the first', async () => {
  vi.useFakeTimers({ now: new Date('2026-01-01T00:00:00Z') });
  new Seen();
  vi.setSystemTime(new Date('2026-06-01T00:00:00Z'));
  expect(new Seen().isUnread(thread('a', '2026-03-01T00:00:00Z'))).toBe(true);
  vi.useRealTimers();
});

test('kept over a reload, and what falls out of the list does not come back as unread', () => {
  const seen = new Seen();
  const at = (n: number) => new Date(Date.UTC(2999, 0, 1, 0, 0, n)).toISOString();
  for (let n = 0; n < 400; n++) seen.mark(thread(`t${n}`, at(n)));
  const again = new Seen();
  for (let n = 0; n < 400; n++) expect(again.isUnread(thread(`t${n}`, at(n)))).toBe(false);
});
