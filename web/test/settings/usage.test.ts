import { expect, test } from 'vitest';
import {
  byModel,
  columns,
  peak,
  rangeOf,
  sum,
  totalOf,
  type DayUsage,
} from '../../src/settings/usage';
import type { Usage } from '../../src/settings/types';

const counts = (input: number, output: number, cost = 0) => ({
  calls: 1,
  input_tokens: input,
  output_tokens: output,
  cached_input_tokens: 0,
  cache_write_tokens: 0,
  reasoning_tokens: 0,
  cost_microusd: cost,
});
const model = (name: string, input: number, cost: number): Usage => ({
  provider: 'p',
  model: name,
  key_owner: 'user',
  ...counts(input, 0, cost),
});
const day = (date: string, input: number, output: number): DayUsage => ({
  date,
  ...counts(input, output),
});

test('a range is whole days here, today the last one', () => {
  const now = new Date(2026, 10, 22, 15, 30).getTime();
  const { from, to } = rangeOf(7, now);
  expect(new Date(from)).toEqual(new Date(2026, 10, 16));
  expect(new Date(to)).toEqual(new Date(2026, 10, 23));
});

test('a range over a change of the clock still begins at midnight', () => {
  const { from } = rangeOf(90, new Date(2026, 10, 22, 0, 5).getTime());
  expect(new Date(from).getHours()).toBe(0);
  expect(new Date(from)).toEqual(new Date(2026, 7, 25));
});

test('sums of nothing are nothing', () => {
  expect(totalOf(sum([]))).toBe(0);
  expect(sum([counts(1, 2, 3), counts(10, 20, 30)])).toMatchObject({
    calls: 2,
    input_tokens: 11,
    output_tokens: 22,
    cost_microusd: 33,
  });
});

test('what costs most comes first, and what has no price by its tokens', () => {
  const rows = [model('free', 10, 0), model('dear', 1, 9), model('free, much', 99, 0)];
  expect(byModel(rows).map((u) => u.model)).toEqual(['dear', 'free, much', 'free']);
  expect(rows[0]!.model).toBe('free'); // the rows themselves stay as they were
});

test('the chart stacks output below input', () => {
  const [x, both, output] = columns([day('2026-11-21', 10, 5), day('2026-11-22', 0, 0)]);
  expect(x).toEqual([Date.UTC(2026, 10, 21) / 1000, Date.UTC(2026, 10, 22) / 1000]);
  expect(both).toEqual([15, 0]);
  expect(output).toEqual([5, 0]);
});

test('the day with most is told, the first of equals', () => {
  expect(peak([])).toBeUndefined();
  const days = [day('2026-11-20', 1, 1), day('2026-11-21', 5, 5), day('2026-11-22', 10, 0)];
  expect(peak(days)?.date).toBe('2026-11-21');
});
