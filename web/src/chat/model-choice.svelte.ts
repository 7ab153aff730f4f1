// Which model answers: what was chosen for a thread, else what was chosen last on this device, else
// (undefined) the gateway's default.

const KEY = 'adjutant.models';
const MOST = 200;

interface Stored {
  last?: string;
  threads: [id: string, model: string][]; // chosen last at the end
}

function stored(): Stored {
  try {
    const value = JSON.parse(localStorage.getItem(KEY) ?? '');
    if (Array.isArray(value.threads)) return value;
  } catch {
    // Nothing there yet, or nothing of ours.
  }
  return { threads: [] };
}

class ModelChoice {
  #kept = $state.raw(stored());

  of(threadId: string | null, models: readonly { id: string }[]): string | undefined {
    const known = (id: string | undefined) => models.find((model) => model.id === id)?.id;
    const own = this.#kept.threads.find(([id]) => id === threadId)?.[1];
    return known(own) ?? known(this.#kept.last);
  }

  choose(threadId: string | null, model: string): void {
    this.#keep({ last: model, threads: this.#with(threadId, model) });
  }

  /** A thread goes on with what it was begun with, whatever is chosen elsewhere later. */
  began(threadId: string, model: string | undefined): void {
    if (model) this.#keep({ ...this.#kept, threads: this.#with(threadId, model) });
  }

  #with(threadId: string | null, model: string): Stored['threads'] {
    if (!threadId) return this.#kept.threads;
    const others = this.#kept.threads.filter(([id]) => id !== threadId);
    return [...others, [threadId, model] as [string, string]].slice(-MOST);
  }

  #keep(kept: Stored): void {
    this.#kept = kept;
    try {
      localStorage.setItem(KEY, JSON.stringify(kept));
    } catch {
      // It counts until the page is closed.
    }
  }
}

export const modelChoice = new ModelChoice();
