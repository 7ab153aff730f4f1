// Something that a person asked for: busy while it goes on, its failure in words beside it.
import { tick } from 'svelte';

const lost = () => !document.activeElement || document.activeElement === document.body;

export class Action {
  busy = $state(false);
  problem = $state<string | null>(null);

  /** True when it was done. Where the focus goes when what had it is gone: to its section's head. */
  async run(work: () => Promise<unknown>): Promise<boolean> {
    if (this.busy) return false;
    const home = document.activeElement
      ?.closest('section, main')
      ?.querySelector<HTMLElement>('h2, h1');
    this.busy = true;
    this.problem = null;
    try {
      await work();
      return true;
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
      return false;
    } finally {
      this.busy = false;
      await tick();
      if (lost()) home?.focus({ preventScroll: true });
    }
  }
}
