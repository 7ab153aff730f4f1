// What is done to a thread from its menu, the top bar or by a command, with a way back.
import type { Thread } from '../api/types';
import { router } from '../app/router.svelte';
import { threads } from '../live/threads.svelte';
import { text } from '../text';
import { toasts } from '../ui/toasts.svelte';

export const titleOf = (thread: Pick<Thread, 'title'> | undefined) =>
  thread?.title || text.chatScreen.untitled;

const isOpen = (id: string) => router.route.screen === 'chat' && router.route.threadId === id;

export async function rename(id: string, title: string): Promise<void> {
  try {
    await threads.rename(id, title);
  } catch (error) {
    toasts.failed(error);
  }
}

export async function archive(thread: Thread, archived: boolean, undoing = false): Promise<void> {
  try {
    await threads.archive(thread.id, archived);
  } catch (error) {
    return toasts.failed(error);
  }
  const wasOpen = archived && isOpen(thread.id);
  if (wasOpen) router.go('/');
  if (undoing) return;
  toasts.show(archived ? text.threads.archivedToast : text.threads.unarchivedToast, {
    action: { label: text.threads.undo, run: () => void archive(thread, !archived, true) },
  });
}

export async function remove(thread: Thread): Promise<boolean> {
  try {
    await threads.remove(thread.id);
  } catch (error) {
    toasts.failed(error);
    return false;
  }
  if (isOpen(thread.id)) router.go('/', { replace: true });
  toasts.show(text.threads.removedToast);
  return true;
}

export const exportPath = (id: string, format: 'md' | 'json') =>
  `/api/threads/${encodeURIComponent(id)}/export?format=${format}`;

export function exportThread(id: string, format: 'md' | 'json'): void {
  const link = document.createElement('a');
  link.href = exportPath(id, format);
  link.download = '';
  link.click();
}
