import { afterAll, beforeAll, expect, test } from 'vitest';
import * as format from '../../src/settings/parts/format';

beforeAll(() => format.setLocale('en-US'));
afterAll(() => format.setLocale(undefined));

const NOW = Date.parse('2026-11-22T12:00:00Z');
const at = (seconds: number) => new Date(NOW + seconds * 1000).toISOString();

test('what is not known is a dash, and nothing is nothing', () => {
  for (const f of [format.count, format.tokens, format.cost, format.bytes, format.milliseconds]) {
    expect(f(null)).toBe('–');
    expect(f(undefined)).toBe('–');
  }
  expect(format.count(0)).toBe('0');
  expect(format.cost(0)).toBe('$0.00');
  expect(format.dateTime(null)).toBe('–');
  expect(format.date('no date')).toBe('–');
  expect(format.ago('', NOW)).toBe('–');
});

test('tokens are exact while they are few', () => {
  expect(format.tokens(9_999)).toBe('9,999');
  expect(format.tokens(12_345)).toBe('12.3K');
  expect(format.tokens(1_999_999)).toBe('2M');
});

test('what costs less than a cent does not look free', () => {
  expect(format.cost(1)).toBe('<$0.0001');
  expect(format.cost(1_200)).toBe('$0.0012');
  expect(format.cost(12_000)).toBe('$0.01');
  expect(format.cost(1_234_567_000)).toBe('$1,234.57');
});

test('bytes and milliseconds', () => {
  expect(format.bytes(999)).toBe('999 bytes');
  expect(format.bytes(1500)).toBe('1.5 kB');
  expect(format.bytes(19_400_000)).toBe('19 MB');
  expect(format.milliseconds(0.1)).toBe('<1');
  expect(format.milliseconds(12.4)).toBe('12');
});

test('moments in the words of the distance, then by their date', () => {
  expect(format.ago(at(-2), NOW)).toBe('now');
  expect(format.ago(at(-30), NOW)).toBe('30 seconds ago');
  expect(format.ago(at(-60), NOW)).toBe('1 minute ago');
  expect(format.ago(at(50 * 60), NOW)).toBe('in 1 hour');
  expect(format.ago(at(-86_400), NOW)).toBe('yesterday');
  expect(format.ago(at(-8 * 86_400), NOW)).toBe('Nov 14, 2026');
});

test('a day is a name and belongs to no time zone', () => {
  expect(format.day('2026-11-22')).toBe('Nov 22');
  expect(format.day('not a day')).toBe('not a day');
});

test('how long: the two largest units', () => {
  expect(format.duration(0)).toBe('0 seconds');
  expect(format.duration(59.9)).toBe('59 seconds');
  expect(format.duration(3600)).toBe('1 hour');
  expect(format.duration(2 * 86_400 + 3 * 3600 + 120)).toBe('2 days 3 hours');
});
