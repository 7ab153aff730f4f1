// What a page shows of the server: loaded when the page appears, again when what the load reads
// changes, when something was changed elsewhere, and when the person comes back to the page.
import { untrack } from 'svelte';
import { coalesced, onChanged } from '../../live/changes';

/** What of the user a page shows: as the frames of docs/api.md (What changed) name it. */
export type Topic =
  'credentials' | 'policies' | 'connections' | 'profile' | 'keys' | 'notification' | 'thread';

const COALESCE_MS = 150;

export class Resource<T> {
  value = $state.raw<T>();
  problem = $state<string | null>(null);
  loading = $state(true);
  #load: (signal: AbortSignal) => Promise<T>;
  #running?: AbortController;

  constructor(load: (signal: AbortSignal) => Promise<T>) {
    this.#load = load;
  }

  /** What was shown stays until the new value is there, also when loading it fails. */
  async refresh(): Promise<void> {
    this.#running?.abort();
    const running = (this.#running = new AbortController());
    const loaded = this.#load(running.signal);
    untrack(() => (this.loading = true));
    try {
      const value = await loaded;
      if (running.signal.aborted) return;
      this.value = value;
      this.problem = null;
    } catch (error) {
      if (running.signal.aborted) return;
      this.problem = error instanceof Error ? error.message : String(error);
    }
    this.loading = false;
  }

  stop(): void {
    this.#running?.abort();
  }
}

/** For a component's initialisation; takes how to load, or a resource made otherwise. */
export function resource<T, R extends Resource<T> = Resource<T>>(
  from: R | ((signal: AbortSignal) => Promise<T>),
  topics: Topic[] = [],
): R {
  const r = (from instanceof Resource ? from : new Resource(from)) as R;
  $effect(() => {
    void r.refresh();
    return () => r.stop();
  });
  $effect(() => {
    const again = coalesced(() => r.refresh(), COALESCE_MS);
    const back = () => {
      if (document.visibilityState === 'visible') again.schedule();
    };
    const ends = topics.map((topic) =>
      topic === 'notification' || topic === 'thread'
        ? onChanged(topic, () => again.schedule())
        : onChanged('settings', (change) => {
            if (change.what === 'all' || change.name === topic) again.schedule();
          }),
    );
    document.addEventListener('visibilitychange', back);
    return () => {
      for (const end of ends) end();
      again.cancel();
      document.removeEventListener('visibilitychange', back);
    };
  });
  return r;
}
