// What the assistant wants to tell: the newest, and how many were not read.
import { api, segment } from '../api/client';
import type { Notification } from '../api/types';
import { text } from '../text';
import { coalesced, onChanged } from './changes';

const PAGE = 30;

interface Page {
  notifications: Notification[];
  next_cursor?: string;
}

class Notifications {
  list = $state.raw<Notification[]>([]);
  phase = $state<'idle' | 'ready' | 'failed'>('idle');
  problem = $state<string | null>(null);
  hasMore = $state(false);
  readonly unread = $derived(this.list.filter((n) => n.read_at === null).length);

  #cursor: string | undefined;
  #later = coalesced(() => this.refresh(), 300);

  constructor() {
    onChanged('notification', () => this.phase !== 'idle' && this.#later.schedule());
  }

  /** Unread ones come first. */
  async refresh(): Promise<void> {
    try {
      const page = await this.#read();
      this.list = page.notifications;
      this.#note(page);
      this.phase = 'ready';
      this.problem = null;
    } catch (error) {
      this.problem = error instanceof Error ? error.message : text.app.unexpected;
      if (this.phase !== 'ready') this.phase = 'failed';
    }
  }

  async loadMore(): Promise<void> {
    if (!this.#cursor) return;
    const page = await this.#read(this.#cursor);
    const known = new Set(this.list.map((n) => n.id));
    this.list = [...this.list, ...page.notifications.filter((n) => !known.has(n.id))];
    this.#note(page);
  }

  async read(id: string): Promise<void> {
    const before = this.list;
    const now = new Date().toISOString();
    this.list = before.map((n) => (n.id === id ? { ...n, read_at: n.read_at ?? now } : n));
    try {
      await api.post(`/api/notifications/${segment(id)}/read`);
    } catch (error) {
      this.list = before;
      throw error;
    }
  }

  #read(cursor?: string): Promise<Page> {
    return api.get<Page>('/api/notifications', { query: { limit: PAGE, cursor } });
  }

  #note(page: Page): void {
    this.#cursor = page.next_cursor;
    this.hasMore = this.#cursor !== undefined;
  }
}

export const notifications = new Notifications();
