import { session } from '../live/session.svelte';
import { toasts } from '../ui/toasts.svelte';

/** Whoever signs out must know when it did not work. */
export const signOut = () => session.logout().catch((error: unknown) => toasts.failed(error));
