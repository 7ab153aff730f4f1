// Threads by when something was last said in them, in the time of the device.
import type { Thread } from '../api/types';
import { dateLocale, text } from '../text';

export interface Group {
  id: string;
  label: string;
  threads: Thread[];
}

const startOfDay = (date: Date, daysBack: number) =>
  new Date(date.getFullYear(), date.getMonth(), date.getDate() - daysBack);

function groupOf(changed: Date, now: Date): { id: string; label: string } {
  if (changed >= startOfDay(now, 0)) return { id: 'today', label: text.threads.today };
  if (changed >= startOfDay(now, 1)) return { id: 'yesterday', label: text.threads.yesterday };
  if (changed >= startOfDay(now, 7)) return { id: 'week', label: text.threads.week };
  const sameYear = changed.getFullYear() === now.getFullYear();
  return {
    id: `${changed.getFullYear()}-${changed.getMonth() + 1}`,
    label: changed.toLocaleDateString(dateLocale, {
      month: 'long',
      year: sameYear ? undefined : 'numeric',
    }),
  };
}

/** Newest first, whatever order they come in. */
export function groupThreads(threads: readonly Thread[], now: Date): Group[] {
  const groups: Group[] = [];
  const newest = [...threads].sort((a, b) => b.updated_at.localeCompare(a.updated_at));
  for (const thread of newest) {
    const { id, label } = groupOf(new Date(thread.updated_at), now);
    let group = groups.at(-1);
    if (group?.id !== id) groups.push((group = { id, label, threads: [] }));
    group.threads.push(thread);
  }
  return groups;
}
