// Where a person has to go instead of where they are: the login, the first run, or back.
import type { Route } from './router.svelte';

export type Phase = 'loading' | 'signed-out' | 'ready' | 'failed';

/** `wanted` is where they were before the login. Null: stay. */
export function way(
  phase: Phase,
  configured: boolean,
  route: Route,
  wanted: string,
): string | null {
  if (phase === 'signed-out') return route.screen === 'login' ? null : '/login';
  if (phase !== 'ready') return null;
  if (route.screen === 'login') return wanted;
  // Without a model nothing can be asked; the settings stay within reach.
  if (!configured && route.screen === 'chat' && !route.threadId) return '/welcome';
  return null;
}
