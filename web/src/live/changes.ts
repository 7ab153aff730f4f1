// What changed elsewhere: in another tab, on another device, by the assistant itself. Hints to read
// again; after a gap there is one hint for everything.

export type Change =
  | { what: 'thread'; threadId: string }
  | { what: 'turn'; threadId: string; runId: string; state: string }
  | { what: 'interrupt'; threadId: string; runId: string }
  | { what: 'notification'; id: string }
  | { what: 'settings'; name: string }
  | { what: 'all' };

type Kind = Exclude<Change['what'], 'all'>;
type Of<K extends Kind> = Extract<Change, { what: K }> | { what: 'all' };

const listeners = new Map<Kind, Set<(change: Change) => void>>();

/** Calls `listener` for changes of this kind, and for `all`. Returns how to stop. */
export function onChanged<K extends Kind>(what: K, listener: (change: Of<K>) => void): () => void {
  const set = listeners.get(what) ?? new Set();
  listeners.set(what, set);
  const entry = (change: Change) => listener(change as Of<K>);
  set.add(entry);
  return () => set.delete(entry);
}

export function announce(change: Change): void {
  const kinds = change.what === 'all' ? [...listeners.keys()] : [change.what];
  for (const kind of kinds) {
    for (const listener of [...(listeners.get(kind) ?? [])]) {
      try {
        listener(change);
      } catch (error) {
        console.error(error);
      }
    }
  }
}

/** Runs `work` once for many calls: `delayMs` after the first, and never twice at a time. */
export function coalesced(work: () => Promise<void>, delayMs: number) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let running = false;
  let again = false;
  const run = async () => {
    timer = undefined;
    running = true;
    again = false;
    try {
      await work();
    } finally {
      running = false;
      if (again) schedule();
    }
  };
  const schedule = () => {
    if (running) again = true;
    else timer ??= setTimeout(() => void run(), delayMs);
  };
  const cancel = () => {
    clearTimeout(timer);
    timer = undefined;
    again = false;
  };
  return { schedule, cancel };
}
