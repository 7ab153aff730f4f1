// Who is here, and which models answer them.
import { api, onSignedOut, Problem } from '../api/client';
import type { Me, Model } from '../api/types';
import { text } from '../text';
import { coalesced, onChanged } from './changes';
import { connection } from './connection.svelte';

type Phase = 'loading' | 'signed-out' | 'ready' | 'failed';

class Session {
  phase = $state<Phase>('loading');
  me = $state.raw<Me | null>(null);
  models = $state.raw<Model[]>([]);
  configured = $state(true); // a message without a model would be answered
  problem = $state<string | null>(null); // why it failed, for a person

  readonly defaultModel = $derived(this.models.find((m) => m.default) ?? this.models[0] ?? null);

  #connected = false;
  #owner: string | undefined;

  constructor() {
    onSignedOut(() => this.#signedOut());
    const again = coalesced(() => this.#refresh(), 300);
    onChanged('settings', (change) => {
      if (this.phase !== 'ready') return;
      // The first connection comes right after the first reading.
      if (change.what === 'all' && !this.#connected) this.#connected = true;
      else if (change.what === 'all' || /^(credentials|profile)$/.test(change.name))
        again.schedule();
    });
  }

  /** Whose page this is: also after the session's end, as long as what was typed is being kept. */
  get userId(): string {
    return this.#owner ?? '';
  }

  /**
   * All that is in the page belongs to one user. The browser's cookie may become another's, by a
   * login here or in another tab: then the page begins anew, and false is returned.
   */
  isOf(userId: string): boolean {
    if (this.#owner === undefined || this.#owner === userId) return true;
    location.reload();
    return false;
  }

  /** The page goes on with whoever is signed in at the next load. */
  handOver(): void {
    this.#owner = undefined;
  }

  /** At the start, after login, and to try again. */
  async load(): Promise<void> {
    if (this.phase !== 'ready') this.phase = 'loading';
    this.problem = null;
    try {
      const [me, models] = await Promise.all([api.get<Me>('/api/me'), this.#readModels()]);
      if (!this.#take(me, models)) return;
      this.phase = 'ready';
      connection.start({ check: () => this.check(), isOf: (userId) => this.isOf(userId) });
    } catch (error) {
      if (error instanceof Problem && error.status === 401) return;
      this.problem = error instanceof Error ? error.message : text.app.unexpected;
      if (this.phase !== 'ready') this.phase = 'failed';
    }
  }

  async logout(): Promise<void> {
    try {
      await api.post('/api/logout');
    } catch (error) {
      if (!(error instanceof Problem && error.status === 401)) throw error; // it was over before
    }
    this.#signedOut();
  }

  async refreshModels(): Promise<void> {
    const models = await this.#readModels();
    this.models = models.models;
    this.configured = models.configured;
  }

  #readModels() {
    return api.get<{ models: Model[]; configured: boolean }>('/api/models');
  }

  #take(me: Me, models: { models: Model[]; configured: boolean }): boolean {
    if (!this.isOf(me.user_id)) return false;
    this.#owner = me.user_id;
    this.me = me;
    this.models = models.models;
    this.configured = models.configured;
    return true;
  }

  async #refresh(): Promise<void> {
    try {
      const [me, models] = await Promise.all([api.get<Me>('/api/me'), this.#readModels()]);
      if (this.phase === 'ready') this.#take(me, models);
    } catch {
      // What is known stays; the next change or load asks again.
    }
  }

  /** Whether there is a session of this page's user; throws when nobody answers. */
  async check(): Promise<boolean> {
    try {
      const me = await api.get<Me>('/api/me', { timeoutMs: 10_000 });
      return this.isOf(me.user_id);
    } catch (error) {
      if (error instanceof Problem && error.status === 401) return false;
      throw error;
    }
  }

  #signedOut(): void {
    connection.stop();
    this.#connected = false;
    this.me = null;
    this.models = [];
    this.phase = 'signed-out';
  }
}

export const session = new Session();
