// What the frame shows, and the doors through which screens are reached from shortcuts, the palette
// and the composer's commands.
import type { Snippet } from 'svelte';
import type { Thread } from '../api/types';
import type { Conversation } from '../live/model';

/** What the conversation on the screen lets others do with it. */
export interface ChatDoor {
  readonly conversation: Conversation;
  readonly thread: Thread | undefined; // as it stands in the list
  readonly canRegenerate: boolean;
  focus(): void;
  stop(): void;
  attach(): void;
  pickModel(): void;
  regenerate(): void;
}

/** What a search found, to be shown in its thread. */
export interface Reveal {
  threadId: string;
  messageId: string;
  words: string[];
}

const KEY = 'adjutant.sidebar';

function remembered(): boolean {
  try {
    return localStorage.getItem(KEY) !== 'hidden';
  } catch {
    return true;
  }
}

class Shell {
  #sidebar = $state(remembered());
  drawer = $state(false); // the sidebar on a phone
  overlay = $state<'palette' | 'shortcuts' | null>(null);
  chat = $state.raw<ChatDoor | null>(null);
  panel = $state.raw<{ title: string; content: Snippet } | null>(null); // beside the conversation

  reveal = $state.raw<Reveal | null>(null);

  // Which thread's title is being written, and where; which is about to be deleted.
  renaming = $state.raw<{ id: string; where: 'list' | 'top' } | null>(null);
  removing = $state.raw<Thread | null>(null);

  get sidebar(): boolean {
    return this.#sidebar;
  }

  set sidebar(shown: boolean) {
    this.#sidebar = shown;
    try {
      localStorage.setItem(KEY, shown ? 'shown' : 'hidden');
    } catch {
      // It counts until the page is closed.
    }
  }

  toggleSidebar(): void {
    if (narrow.matches) this.drawer = !this.drawer;
    else this.sidebar = !this.sidebar;
  }
}

export const narrow = matchMedia('(max-width: 767px)');
/** Fingers only: Enter is a new line, and nothing brings up the keyboard unasked. */
export const touch = matchMedia('(hover: none) and (pointer: coarse)');
export const shell = new Shell();
