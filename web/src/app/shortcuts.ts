// Keys: how shortcuts are written down, recognised, and shown. 'mod' is Command on Apple's
// keyboards and Control on all others.

export interface Shortcut {
  mod: boolean;
  shift: boolean;
  alt: boolean;
  key: string; // as KeyboardEvent.key, letters in lower case
}

export interface KeyPress {
  key: string;
  code?: string;
  ctrlKey: boolean;
  metaKey: boolean;
  shiftKey: boolean;
  altKey: boolean;
}

export const onApple =
  typeof navigator !== 'undefined' && /Mac|iPhone|iPad|iPod/.test(navigator.platform);

/** 'mod+shift+o', '?', 'Escape'. */
export function parseShortcut(written: string): Shortcut {
  const parts = written.split(/\+(?=.)/);
  const key = parts.pop() ?? '';
  const has = (name: string) => parts.includes(name);
  for (const part of parts) {
    if (!['mod', 'shift', 'alt'].includes(part)) throw new Error(`not a modifier: ${part}`);
  }
  if (!key) throw new Error('a shortcut without a key');
  return {
    mod: has('mod'),
    shift: has('shift'),
    alt: has('alt'),
    key: key.length === 1 ? key.toLowerCase() : key,
  };
}

// With a modifier a layout may give another character ('Ø' for Alt+O), so the key's place counts too.
function sameKey(key: string, press: KeyPress): boolean {
  if (press.key.toLowerCase() === key.toLowerCase()) return true;
  return (
    /^[a-z]$/.test(key) &&
    !/^[\x20-\x7e]$/.test(press.key) &&
    press.code === `Key${key.toUpperCase()}`
  );
}

export function matches(shortcut: Shortcut, press: KeyPress, apple = onApple): boolean {
  const mod = apple ? press.metaKey : press.ctrlKey;
  const other = apple ? press.ctrlKey : press.metaKey;
  if (mod !== shortcut.mod || other || press.altKey !== shortcut.alt) return false;
  // What needs Shift to be typed at all ('?') says nothing about Shift.
  const symbol = shortcut.key.length === 1 && !/[a-z0-9]/.test(shortcut.key);
  if (!symbol && press.shiftKey !== shortcut.shift) return false;
  return sameKey(shortcut.key, press);
}

const NAMES: Record<string, string> = {
  Escape: 'Esc',
  ArrowUp: '↑',
  ArrowDown: '↓',
  ArrowLeft: '←',
  ArrowRight: '→',
};

/** The caps to press, in the order they are written on this kind of keyboard. */
export function caps(written: string, apple = onApple): string[] {
  const { mod, shift, alt, key } = parseShortcut(written);
  const name = NAMES[key] ?? (key.length === 1 ? key.toUpperCase() : key);
  return apple
    ? [...(alt ? ['⌥'] : []), ...(shift ? ['⇧'] : []), ...(mod ? ['⌘'] : []), name]
    : [...(mod ? ['Ctrl'] : []), ...(alt ? ['Alt'] : []), ...(shift ? ['Shift'] : []), name];
}

/** In short, for a hint beside a label. */
export const hint = (written: string, apple = onApple) =>
  caps(written, apple).join(apple ? '' : '+');

/** Whether keys pressed here are meant as text. */
export function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable ||
      target instanceof HTMLTextAreaElement ||
      target instanceof HTMLSelectElement ||
      (target instanceof HTMLInputElement &&
        !/^(button|checkbox|radio|range|color|file|submit|reset)$/.test(target.type)))
  );
}

/** What works everywhere; `text`: also while something is being written. */
export const SHORTCUTS = {
  palette: { keys: ['mod+k'], text: true },
  newChat: { keys: ['mod+shift+o'], text: true },
  sidebar: { keys: ['mod+shift+s'], text: true },
  settings: { keys: ['mod+,'], text: true },
  sheet: { keys: ['?', 'mod+/'], text: false },
  focusComposer: { keys: ['/'], text: false },
  escape: { keys: ['Escape'], text: true },
} as const;

export type ShortcutName = keyof typeof SHORTCUTS;

export function shortcutOf(press: KeyPress, typing: boolean, apple = onApple): ShortcutName | null {
  for (const [name, { keys, text }] of Object.entries(SHORTCUTS)) {
    for (const key of keys) {
      const shortcut = parseShortcut(key);
      if (typing && !text && !shortcut.mod) continue;
      if (matches(shortcut, press, apple)) return name as ShortcutName;
    }
  }
  return null;
}
