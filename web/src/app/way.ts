// Where a person has to go instead of where they are: the login, the first run, or back.
import type { Route } from './router.svelte';

export type Phase = 'loading' | 'signed-out' | 'ready' | 'failed';

/** `wanted` is where they were before the login. Null: stay. */
export function way(
  phase: Phase,
  setUp: boolean, // a model answers, and they said who they are, or that they'd rather not
  route: Route,
  wanted: string,
): string | null {
  if (phase === 'signed-out') return route.screen === 'login' ? null : '/login';
  if (phase !== 'ready') return null;
  if (route.screen === 'login') return wanted;
  // What was said before stays within reach, and so do the settings.
  if (!setUp && route.screen === 'chat' && !route.threadId) return '/welcome';
  return null;
}
