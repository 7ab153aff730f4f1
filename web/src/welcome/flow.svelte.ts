// The first run: which screens there are, where one is, and what was chosen on the way. A model's
// key is kept here until it is stored, and nowhere else.
import { api } from '../api/client';
import { session } from '../live/session.svelte';
import type { Choice, Listed } from './providers';

export type Screen = 'provider' | 'key' | 'model' | 'person' | 'servers' | 'first';

const PHASES: Screen[][] = [['provider', 'key', 'model'], ['person'], ['servers'], ['first']];

export interface StoredCredential {
  unverified?: boolean;
  reason?: string;
}

export class Flow {
  readonly phases: Screen[][];
  screen = $state<Screen>('person');
  backwards = $state(false); // the way of the last step
  choice = $state<Choice | null>(null);
  models = $state.raw<Listed[] | null>(null); // null: the provider has no list
  name = $state('');
  #key = '';
  #address = '';
  #stored = false;

  constructor() {
    const setup = session.me?.setup;
    const admin = session.me?.role === 'admin';
    this.phases = PHASES.filter(([first]) => {
      if (first === 'provider') return !setup?.configured;
      if (first === 'servers') return admin || (setup?.mcp_servers ?? 0) > 0;
      return true;
    });
    this.screen = this.phases[0]![0]!;
    this.name = session.me?.name ?? '';
  }

  get phase(): number {
    return this.phases.findIndex((screens) => screens.includes(this.screen));
  }

  get #screens(): Screen[] {
    return this.phases.flat();
  }

  get canGoBack(): boolean {
    const before = this.#screens[this.#screens.indexOf(this.screen) - 1];
    return before !== undefined && this.screen !== 'first' && !(before === 'model' && this.#stored);
  }

  next(): void {
    this.#go(1);
  }

  back(): void {
    this.#go(-1);
  }

  #go(step: 1 | -1): void {
    const screens = this.#screens;
    const to = screens[screens.indexOf(this.screen) + step];
    if (!to) return;
    this.backwards = step < 0;
    this.screen = to;
  }

  choose(choice: Choice): void {
    if (this.choice !== choice) this.forget();
    this.choice = choice;
    this.next();
  }

  forget(): void {
    this.#key = this.#address = '';
    this.models = null;
  }

  /** Asks the provider, live, what it has. */
  async discover(key: string, address: string): Promise<void> {
    this.#key = key;
    this.#address = address;
    this.models = null;
    const { models } = await api.post<{ models: Listed[] }>('/api/models/discover', {
      provider: this.choice!.provider,
      ...this.#endpoint(),
    });
    this.models = models;
  }

  /** Tries and stores what was chosen. */
  async store(model: string): Promise<StoredCredential> {
    const value = { ...this.#endpoint(), preferred_model: model };
    const path = `/api/credentials/llm_${this.choice!.provider}`;
    const stored = await api.put<StoredCredential>(path, { value }, { timeoutMs: 60_000 });
    this.#key = '';
    this.#stored = true;
    await session.load();
    return stored;
  }

  #endpoint() {
    return {
      ...(this.#key && { api_key: this.#key }),
      ...(this.#address && { base_url: this.#address }),
    };
  }
}
