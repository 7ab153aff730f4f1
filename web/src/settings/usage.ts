// Sums of what was used, and what the chart shows of them.
import type { Usage, UsageCounts } from './types';

export interface DayUsage extends UsageCounts {
  day: string; // 2026-11-22, in UTC
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

const DAY_MS = 86_400_000;
export const dayName = (at: number) => new Date(at).toISOString().slice(0, 10);

/** The range as the API takes it: whole days in UTC, today the last one. */
export function rangeOf(days: number, now: number): { from: string; to: string } {
  const today = Date.parse(dayName(now));
  return {
    from: new Date(today - (days - 1) * DAY_MS).toISOString(),
    to: new Date(today + DAY_MS).toISOString(),
  };
}

/** One entry for each day of the range, also where nothing was used. */
export function byDay(
  rows: (UsageCounts & { day: string })[],
  days: number,
  now: number,
): DayUsage[] {
  const today = Date.parse(dayName(now));
  return Array.from({ length: days }, (_, i) => {
    const day = dayName(today - (days - 1 - i) * DAY_MS);
    return { day, ...sum(rows.filter((r) => r.day.slice(0, 10) === day)) };
  });
}

/** Models that cost most first; those without a price by their tokens. */
export function byModel(rows: Usage[]): Usage[] {
  const weight = (u: Usage) => u.input_tokens + u.output_tokens;
  return [...rows].sort((a, b) => b.cost_microusd - a.cost_microusd || weight(b) - weight(a));
}

/** Columns for the chart: seconds of the days, output tokens, and both stacked on each other. */
export function columns(days: DayUsage[]): [number[], number[], number[]] {
  return [
    days.map((d) => Date.parse(d.day) / 1000),
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
