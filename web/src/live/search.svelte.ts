// Search over all that was said: asked a moment after the last key, and again while the gateway has
// not looked at everything.
import { api } from '../api/client';
import type { SearchHit } from '../api/types';
import { text } from '../text';

const AFTER_KEY_MS = 180;
const AGAIN_MS = 400;
const MOST_ROUNDS = 50;
const PAGE = 20;

interface Page {
  hits: SearchHit[];
  complete: boolean;
  next_cursor?: string;
}

class Search {
  hits = $state.raw<SearchHit[]>([]);
  phase = $state<'idle' | 'searching' | 'ready' | 'failed'>('idle');
  complete = $state(true); // false: older messages are still being looked at
  hasMore = $state(false);
  problem = $state<string | null>(null);

  #query = $state('');
  #cursor: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asking: AbortController | undefined;

  get query(): string {
    return this.#query;
  }

  set query(value: string) {
    if (value === this.#query) return;
    this.#query = value;
    this.#stop();
    if (!value.trim()) {
      this.#forget();
      return;
    }
    this.phase = 'searching';
    this.#timer = setTimeout(() => void this.#ask(0), AFTER_KEY_MS);
  }

  clear(): void {
    this.#stop();
    this.#query = '';
    this.#forget();
  }

  #forget(): void {
    this.hits = [];
    this.phase = 'idle';
    this.complete = true;
    this.hasMore = false;
    this.problem = null;
    this.#cursor = undefined;
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#asking?.abort();
    this.#asking = undefined;
  }

  #read(signal: AbortSignal, cursor?: string): Promise<Page> {
    return api.get<Page>('/api/search', {
      query: { q: this.#query, limit: PAGE, cursor },
      signal,
    });
  }

  async #ask(round: number): Promise<void> {
    const asking = (this.#asking = new AbortController());
    try {
      const page = await this.#read(asking.signal);
      if (asking !== this.#asking) return;
      this.hits = page.hits;
      this.#cursor = page.next_cursor;
      this.hasMore = this.#cursor !== undefined;
      this.complete = page.complete || round >= MOST_ROUNDS;
      this.problem = null;
      this.phase = 'ready';
      if (!this.complete) this.#timer = setTimeout(() => void this.#ask(round + 1), AGAIN_MS);
    } catch (error) {
      if (asking !== this.#asking) return;
      this.problem = error instanceof Error ? error.message : text.app.unexpected;
      this.phase = 'failed';
    }
  }

  async loadMore(): Promise<void> {
    if (!this.#cursor) return;
    // Pages that were added must not be replaced by the first one again.
    this.#stop();
    const asking = (this.#asking = new AbortController());
    let page: Page;
    try {
      page = await this.#read(asking.signal, this.#cursor);
    } catch (error) {
      if (asking !== this.#asking) return; // something else is searched for by now
      throw error;
    }
    if (asking !== this.#asking) return;
    const known = new Set(this.hits.map((h) => h.message_id));
    this.hits = [...this.hits, ...page.hits.filter((h) => !known.has(h.message_id))];
    this.#cursor = page.next_cursor;
    this.hasMore = this.#cursor !== undefined;
  }
}

export const search = new Search();
