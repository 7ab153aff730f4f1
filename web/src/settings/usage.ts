// Sums of what was used, and what the chart shows of them.
import type { Usage, UsageCounts } from './types';

export interface DayUsage extends UsageCounts {
  date: string; // 2026-11-22, where the person is
}

export const RANGES = [7, 30, 90] as const;
export type Range = (typeof RANGES)[number];

const COUNTS = [
  'calls',
  'input_tokens',
  'output_tokens',
  'cached_input_tokens',
  'cache_write_tokens',
  'reasoning_tokens',
  'cost_microusd',
] as const satisfies (keyof UsageCounts)[];

export function sum(rows: UsageCounts[]): UsageCounts {
  const total = Object.fromEntries(COUNTS.map((name) => [name, 0])) as unknown as UsageCounts;
  for (const row of rows) {
    for (const name of COUNTS) total[name] += row[name] ?? 0;
  }
  return total;
}

/** Whole days where the person is, today the last one: from the first midnight to the next. */
export function rangeOf(days: number, now: number): { from: string; to: string } {
  const today = new Date(now);
  const midnight = (offset: number) =>
    new Date(today.getFullYear(), today.getMonth(), today.getDate() + offset).toISOString();
  return { from: midnight(1 - days), to: midnight(1) };
}

/** Models that cost most first; those without a price by their tokens. */
export function byModel(rows: Usage[]): Usage[] {
  const weight = (u: Usage) => u.input_tokens + u.output_tokens;
  return [...rows].sort((a, b) => b.cost_microusd - a.cost_microusd || weight(b) - weight(a));
}

/** Columns for the chart: seconds of the days, output tokens, and both stacked on each other. */
export function columns(days: DayUsage[]): [number[], number[], number[]] {
  return [
    days.map((d) => Date.parse(d.date) / 1000),
    days.map((d) => d.input_tokens + d.output_tokens),
    days.map((d) => d.output_tokens),
  ];
}

export const totalOf = (u: UsageCounts) => u.input_tokens + u.output_tokens;

export function peak(days: DayUsage[]): DayUsage | undefined {
  let most: DayUsage | undefined;
  for (const d of days) if (!most || totalOf(d) > totalOf(most)) most = d;
  return most;
}
