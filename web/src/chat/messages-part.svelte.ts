// What shows messages comes apart from the first bundle: it brings the reader of markdown along,
// which an empty chat does not need.
import type Messages from './Messages.svelte';

class MessagesPart {
  component = $state.raw<typeof Messages>();
  failed = $state(false);
  #loading = false;

  load(): void {
    if (this.component || this.#loading) return;
    this.#loading = true;
    this.failed = false;
    import('./Messages.svelte')
      .then((module) => (this.component = module.default))
      .catch(() => (this.failed = true))
      .finally(() => (this.#loading = false));
  }
}

export const messagesPart = new MessagesPart();

// At once where there is something to show, else when nothing else is to be done.
if (location.pathname.startsWith('/t/')) messagesPart.load();
else setTimeout(() => messagesPart.load(), 1_000);
