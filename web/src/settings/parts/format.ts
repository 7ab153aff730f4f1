// Numbers, money and times as the person's language writes them. What is not known is a dash.

const NOTHING = '–';

let locale: string | undefined; // undefined: the browser's
const made = new Map<string, Intl.NumberFormat | Intl.DateTimeFormat | Intl.RelativeTimeFormat>();

/** For tests, whose result must not depend on the machine. */
export function setLocale(name: string | undefined): void {
  locale = name;
  made.clear();
}

function once<T extends Intl.NumberFormat | Intl.DateTimeFormat | Intl.RelativeTimeFormat>(
  key: string,
  make: () => T,
): T {
  let format = made.get(key) as T | undefined;
  if (!format) made.set(key, (format = make()));
  return format;
}

const numbers = (key: string, options?: Intl.NumberFormatOptions) =>
  once(key, () => new Intl.NumberFormat(locale, options));
const dates = (key: string, options: Intl.DateTimeFormatOptions) =>
  once(key, () => new Intl.DateTimeFormat(locale, options));

export function count(n: number | null | undefined): string {
  return n == null ? NOTHING : numbers('count').format(n);
}

/** Large counts, short: 12.3K. */
export function tokens(n: number | null | undefined): string {
  if (n == null) return NOTHING;
  if (Math.abs(n) < 10_000) return count(n);
  return numbers('tokens', { notation: 'compact', maximumSignificantDigits: 3 }).format(n);
}

const money = (digits: number) =>
  numbers(`money${digits}`, {
    style: 'currency',
    currency: 'USD',
    currencyDisplay: 'narrowSymbol',
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });

/** Millionths of a dollar. What is less than a cent must not look like nothing. */
export function cost(microusd: number | null | undefined): string {
  if (microusd == null) return NOTHING;
  const dollars = microusd / 1e6;
  if (dollars > 0 && dollars < 0.0001) return `<${money(4).format(0.0001)}`;
  return money(dollars > 0 && dollars < 0.01 ? 4 : 2).format(dollars);
}

export function milliseconds(n: number | null | undefined): string {
  if (n == null) return NOTHING;
  const text = numbers('ms', { maximumFractionDigits: 0 }).format(Math.max(n, 1));
  return n < 1 ? `<${text}` : text;
}

export function percent(part: number): string {
  return numbers('percent', { style: 'percent', maximumFractionDigits: 0 }).format(part);
}

export function bytes(n: number | null | undefined): string {
  if (n == null) return NOTHING;
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
  let i = 0;
  for (; n >= 1000 && i < units.length - 1; i++) n /= 1000;
  const options: Intl.NumberFormatOptions = {
    style: 'unit',
    unit: units[i],
    unitDisplay: i ? 'short' : 'long',
    maximumFractionDigits: n < 10 && i ? 1 : 0,
  };
  return new Intl.NumberFormat(locale, options).format(n);
}

const timeOf = (iso: string | null | undefined) => (iso ? Date.parse(iso) : NaN);

export function dateTime(iso: string | null | undefined): string {
  const at = timeOf(iso);
  if (Number.isNaN(at)) return NOTHING;
  return dates('dateTime', { dateStyle: 'medium', timeStyle: 'short' }).format(at);
}

export function date(iso: string | null | undefined): string {
  const at = timeOf(iso);
  if (Number.isNaN(at)) return NOTHING;
  return dates('date', { dateStyle: 'medium' }).format(at);
}

/** A day that is a name ("2026-11-22", in UTC) and no moment. */
export function day(name: string): string {
  const at = timeOf(`${name}T00:00:00Z`);
  if (Number.isNaN(at)) return name;
  return dates('day', { day: 'numeric', month: 'short', timeZone: 'UTC' }).format(at);
}

const STEPS: [Intl.RelativeTimeFormatUnit, number, number][] = [
  // unit, its seconds, and how many seconds are still told in it
  ['second', 1, 45],
  ['minute', 60, 45 * 60],
  ['hour', 3600, 22 * 3600],
  ['day', 86_400, 7 * 86_400],
];

/** "3 minutes ago", "in 2 hours"; what is more than a week away is told by its date. */
export function ago(iso: string | null | undefined, now: number): string {
  const at = timeOf(iso);
  if (Number.isNaN(at)) return NOTHING;
  const seconds = (at - now) / 1000;
  const format = once('ago', () => new Intl.RelativeTimeFormat(locale, { numeric: 'auto' }));
  if (Math.abs(seconds) < 10) return format.format(0, 'second');
  for (const [unit, size, most] of STEPS) {
    if (Math.abs(seconds) < most) return format.format(Math.round(seconds / size), unit);
  }
  return date(iso);
}

/** How long something has lasted: its two largest units. */
export function duration(seconds: number): string {
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'day'],
    [Math.floor(seconds / 3600) % 24, 'hour'],
    [Math.floor(seconds / 60) % 60, 'minute'],
    [Math.floor(seconds) % 60, 'second'],
  ];
  const first = parts.findIndex(([n]) => n > 0);
  const told = first < 0 ? parts.slice(-1) : parts.slice(first, first + 2).filter(([n]) => n > 0);
  return told
    .map(([n, unit]) =>
      numbers(`unit-${unit}`, { style: 'unit', unit, unitDisplay: 'long' }).format(n),
    )
    .join(' ');
}
