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

  /** At the start, after login, and to try again. */
  async load(): Promise<void> {
    if (this.phase !== 'ready') this.phase = 'loading';
    this.problem = null;
    try {
      const [me, models] = await Promise.all([api.get<Me>('/api/me'), this.#readModels()]);
      this.#take(me, models);
      this.phase = 'ready';
      connection.start(() => this.#check());
    } catch (error) {
      if (error instanceof Problem && error.status === 401) return;
      this.problem = error instanceof Error ? error.message : text.app.unexpected;
      if (this.phase !== 'ready') this.phase = 'failed';
    }
  }

  async logout(): Promise<void> {
    await api.post('/api/logout');
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

  #take(me: Me, models: { models: Model[]; configured: boolean }): void {
    this.me = me;
    this.models = models.models;
    this.configured = models.configured;
  }

  async #refresh(): Promise<void> {
    try {
      const [me, models] = await Promise.all([api.get<Me>('/api/me'), this.#readModels()]);
      if (this.phase === 'ready') this.#take(me, models);
    } catch {
      // What is known stays; the next change or load asks again.
    }
  }

  /** Whether there is a session; throws when nobody answers. */
  async #check(): Promise<boolean> {
    try {
      await api.get('/api/me', { timeoutMs: 10_000 });
      return true;
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
