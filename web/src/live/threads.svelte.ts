// The list of threads, kept in step with what happens elsewhere. What is done here shows at once and
// is taken back when the gateway refuses.
import { api, segment } from '../api/client';
import type { Thread } from '../api/types';
import { text } from '../text';
import { coalesced, onChanged } from './changes';

const PAGE = 30;
const REFRESH_MS = 300;

interface Page {
  threads: Thread[];
  next_cursor?: string;
}

/** Threads, newest first: as many pages of them as were asked for. */
class ThreadList {
  list = $state.raw<Thread[]>([]);
  hasMore = $state(false);
  phase = $state<'loading' | 'ready' | 'failed'>('loading');
  problem = $state<string | null>(null);

  #cursor: string | undefined;
  #loading: Promise<void> = Promise.resolve();
  #wanted = false; // somebody looks at it
  #later = coalesced(() => this.refresh().catch(() => {}), REFRESH_MS);

  constructor(readonly archivedOnes: boolean) {
    onChanged('thread', () => this.#wanted && this.#later.schedule());
    onChanged('turn', () => this.#wanted && !archivedOnes && this.#later.schedule());
  }

  #read(cursor?: string): Promise<Page> {
    return api.get<Page>('/api/threads', {
      query: { limit: PAGE, cursor, archived: this.archivedOnes ? 1 : undefined },
    });
  }

  /** One reading after the other. */
  #next(work: () => Promise<void>): Promise<void> {
    const done = this.#loading.then(work);
    this.#loading = done.catch(() => {});
    return done;
  }

  /** Reads the newest anew; what was loaded beyond them stays. */
  refresh(): Promise<void> {
    this.#wanted = true;
    return this.#next(() => this.#refresh());
  }

  async #refresh(): Promise<void> {
    try {
      const page = await this.#read();
      const fresh = new Set(page.threads.map((t) => t.id));
      const oldest = page.threads.at(-1)?.updated_at ?? '';
      // Beyond the page only what is older than it can still be true.
      const rest = page.next_cursor
        ? this.list.filter((t) => !fresh.has(t.id) && t.updated_at < oldest)
        : [];
      this.list = [...page.threads, ...rest];
      if (!rest.length) this.#cursor = page.next_cursor;
      this.hasMore = this.#cursor !== undefined;
      this.phase = 'ready';
      this.problem = null;
    } catch (error) {
      this.problem = error instanceof Error ? error.message : text.app.unexpected;
      if (this.phase !== 'ready') this.phase = 'failed';
    }
  }

  loadMore(): Promise<void> {
    return this.#next(() => this.#more());
  }

  async #more(): Promise<void> {
    if (!this.#cursor) return;
    const page = await this.#read(this.#cursor);
    const known = new Set(this.list.map((t) => t.id));
    this.list = [...this.list, ...page.threads.filter((t) => !known.has(t.id))];
    this.#cursor = page.next_cursor;
    this.hasMore = this.#cursor !== undefined;
  }

  find(id: string): Thread | undefined {
    return this.list.find((t) => t.id === id);
  }

  /** Takes one out; the returned function puts it back. */
  take(id: string): () => void {
    const before = this.list;
    const thread = this.find(id);
    this.list = before.filter((t) => t.id !== id);
    return () => {
      if (thread && !this.find(id)) this.list = [...this.list, thread].sort(newestFirst);
    };
  }

  change(id: string, members: Partial<Thread>): void {
    this.list = this.list.map((t) => (t.id === id ? { ...t, ...members } : t));
  }
}

const newestFirst = (a: Thread, b: Thread) =>
  a.updated_at === b.updated_at ? (a.id < b.id ? 1 : -1) : a.updated_at < b.updated_at ? 1 : -1;

class Threads extends ThreadList {
  readonly archived = new ThreadList(true);

  constructor() {
    super(false);
  }

  async rename(id: string, title: string): Promise<void> {
    const lists = [this, this.archived].filter((l) => l.find(id));
    const before = lists[0]?.find(id)?.title ?? null;
    for (const list of lists) list.change(id, { title });
    try {
      await api.patch(`/api/threads/${segment(id)}`, { title });
    } catch (error) {
      for (const list of lists) list.change(id, { title: before });
      throw error;
    }
  }

  async archive(id: string, on: boolean): Promise<void> {
    const putBack = (on ? this : this.archived).take(id);
    try {
      await api.patch(`/api/threads/${segment(id)}`, { archived: on });
    } catch (error) {
      putBack();
      throw error;
    }
    await Promise.all([this.refresh(), this.archived.phase === 'ready' && this.archived.refresh()]);
  }

  async remove(id: string): Promise<void> {
    const back = [this.take(id), this.archived.take(id)];
    try {
      await api.delete(`/api/threads/${segment(id)}`);
    } catch (error) {
      for (const putBack of back) putBack();
      throw error;
    }
  }
}

export const threads = new Threads();
