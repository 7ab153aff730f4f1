// Which threads have an answer that was not looked at yet, on this device: how many messages of each
// were seen. What is older than the first visit counts as seen.
import type { Thread } from '../api/types';

const KEY = 'adjutant.seen';
const MOST = 300;

interface Stored {
  since: string;
  threads: Record<string, { count: number; at: string }>; // at: of its newest message
}

function stored(): Stored {
  try {
    const value = JSON.parse(localStorage.getItem(KEY) ?? '');
    if (typeof value.since === 'string' && typeof value.threads === 'object') return value;
  } catch {
    // Nothing there yet, or nothing of ours.
  }
  return { since: new Date().toISOString(), threads: {} };
}

type Changed = Pick<Thread, 'id' | 'updated_at' | 'message_count' | 'open_turn'>;

export class Seen {
  #kept = $state.raw(stored());

  constructor() {
    this.#keep();
  }

  isUnread(thread: Changed): boolean {
    const busy = thread.open_turn && thread.open_turn.state !== 'interrupted';
    if (busy) return false;
    const seen = this.#kept.threads[thread.id];
    return seen ? thread.message_count > seen.count : thread.updated_at > this.#kept.since;
  }

  mark(thread: Changed): void {
    const now = { count: thread.message_count, at: thread.updated_at };
    if (this.#kept.threads[thread.id]?.count === now.count) return;
    const entries = Object.entries({ ...this.#kept.threads, [thread.id]: now });
    entries.sort(([, a], [, b]) => b.at.localeCompare(a.at));
    const kept = entries.slice(0, MOST);
    const dropped = entries[MOST]?.[1].at ?? '';
    const since = dropped > this.#kept.since ? dropped : this.#kept.since;
    this.#kept = { since, threads: Object.fromEntries(kept) };
    this.#keep();
  }

  #keep(): void {
    try {
      localStorage.setItem(KEY, JSON.stringify(this.#kept));
    } catch {
      // It counts until the page is closed.
    }
  }
}

export const seen = new Seen();
