import { router } from './router.svelte';
import { shell } from './shell.svelte';

/** An empty chat, ready to write in. */
export function newChat(): void {
  shell.drawer = false;
  router.go('/');
  shell.chat?.focus();
}
