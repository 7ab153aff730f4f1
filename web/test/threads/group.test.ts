import { expect, test } from 'vitest';
import type { Thread } from '../../src/api/types';
import { groupThreads } from '../../src/threads/group';

const now = new Date(2026, 10, 22, 9, 30); // local time, as people see it
const thread = (id: string, changed: Date) => ({ id, updated_at: changed.toISOString() }) as Thread;
const shape = (threads: Thread[]) =>
  groupThreads(threads, now).map((group) => [group.label, group.threads.map((one) => one.id)]);

test('today begins at midnight, not 24 hours ago', () => {
  expect(
    shape([
      thread('a', new Date(2026, 10, 22, 0, 0)),
      thread('b', new Date(2026, 10, 21, 23, 59)),
      thread('c', new Date(2026, 10, 20, 23, 59)),
      thread('d', new Date(2026, 10, 15, 0, 0)),
      thread('e', new Date(2026, 10, 14, 23, 59)),
      thread('f', new Date(2026, 9, 1)),
      thread('g', new Date(2025, 10, 22)),
    ]),
  ).toEqual([
    ['Today', ['a']],
    ['Yesterday', ['b']],
    ['Previous 7 days', ['c', 'd']],
    ['November', ['e']],
    ['October', ['f']],
    ['November 2025', ['g']],
  ]);
});

test('newest first, whatever order they come in; a clock that is ahead is today', () => {
  expect(
    shape([
      thread('old', new Date(2026, 10, 22, 1)),
      thread('new', new Date(2026, 10, 22, 8)),
      thread('ahead', new Date(2026, 10, 23, 8)),
    ]),
  ).toEqual([['Today', ['ahead', 'new', 'old']]]);
});

test('nothing makes no groups', () => expect(groupThreads([], now)).toEqual([]));
