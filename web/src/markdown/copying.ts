// Copying to the clipboard, and the buttons of code boxes: one listener for all of them, also for
// those that came in as HTML.
import { text } from '../text';

const SAID_MS = 2_000;

export async function copyText(words: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(words);
    return true;
  } catch {
    return copyBySelection(words);
  }
}

// Without a secure context (http on the local network) there is no clipboard API.
function copyBySelection(words: string): boolean {
  const area = document.createElement('textarea');
  area.value = words;
  area.className = 'visually-hidden';
  document.body.append(area);
  const focused = document.activeElement as HTMLElement | null;
  area.select();
  try {
    return document.execCommand('copy');
  } catch {
    return false;
  } finally {
    area.remove();
    focused?.focus({ preventScroll: true });
  }
}

/** For a `click` on anything around code boxes. `words`: instead of what is shown. */
export async function copyCode(event: MouseEvent, words?: string): Promise<void> {
  const button = (event.target as Element | null)?.closest?.('.code-copy');
  if (!button) return;
  const shown = button.closest('.code-box')?.querySelector('pre code')?.textContent;
  const code = words ?? shown ?? '';
  button.textContent = (await copyText(code)) ? text.common.copied : text.chat.copyFailed;
  setTimeout(() => (button.textContent = text.common.copy), SAID_MS);
}
