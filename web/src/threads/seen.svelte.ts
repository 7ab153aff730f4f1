// Which threads have an answer that was not looked at yet, on this device: the time up to which each
// was seen. What is older than the first visit counts as seen.
import type { Thread } from '../api/types';

const KEY = 'adjutant.seen';
const MOST = 300;

interface Stored {
  since: string;
  at: Record<string, string>;
}

function stored(): Stored {
  try {
    const value = JSON.parse(localStorage.getItem(KEY) ?? '');
    if (typeof value.since === 'string' && typeof value.at === 'object') return value;
  } catch {
    // Nothing there yet, or nothing of ours.
  }
  return { since: new Date().toISOString(), at: {} };
}

type Changed = Pick<Thread, 'id' | 'updated_at' | 'open_turn'>;

export class Seen {
  #kept = $state.raw(stored());

  isUnread(thread: Changed): boolean {
    const busy = thread.open_turn && thread.open_turn.state !== 'interrupted';
    return !busy && thread.updated_at > (this.#kept.at[thread.id] ?? this.#kept.since);
  }

  mark(thread: Changed): void {
    if ((this.#kept.at[thread.id] ?? '') >= thread.updated_at) return;
    const entries = Object.entries({ ...this.#kept.at, [thread.id]: thread.updated_at });
    entries.sort(([, a], [, b]) => b.localeCompare(a));
    const kept = entries.slice(0, MOST);
    const dropped = entries[MOST]?.[1] ?? '';
    this.#kept = {
      since: dropped > this.#kept.since ? dropped : this.#kept.since,
      at: Object.fromEntries(kept),
    };
    try {
      localStorage.setItem(KEY, JSON.stringify(this.#kept));
    } catch {
      // It counts until the page is closed.
    }
  }
}

export const seen = new Seen();
