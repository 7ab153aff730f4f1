// What the palette shows for a query: parts with entries, in one order for the arrow keys.
import type { SearchHit, Thread } from '../api/types';
import { text } from '../text';
import { filterCommands } from './command-filter';
import type { Command } from './commands';

export type Entry =
  | { kind: 'thread'; thread: Thread }
  | { kind: 'hit'; hit: SearchHit }
  | { kind: 'command'; command: Command };

export interface Part {
  id: 'recent' | 'commands' | 'titles' | 'messages';
  label: string;
  from: number; // the place of its first entry among all
  entries: Entry[];
}

const RECENT = 5;
const MOST_TITLES = 6;

export function paletteParts(
  query: string,
  threads: readonly Thread[],
  commands: readonly Command[],
  hits: readonly SearchHit[],
): Part[] {
  const asking = query.trim() !== '';
  const titled = asking
    ? filterCommands(
        threads.map((thread) => ({ label: thread.title ?? '', thread })),
        query,
      ).map((found) => found.thread)
    : [...threads];
  const parts: Part[] = [];
  const add = (id: Part['id'], label: string, entries: Entry[]) => {
    const before = parts.at(-1);
    const from = before ? before.from + before.entries.length : 0;
    if (entries.length) parts.push({ id, label, from, entries });
  };
  const chats = titled
    .slice(0, asking ? MOST_TITLES : RECENT)
    .map((thread): Entry => ({ kind: 'thread', thread }));
  const tasks = commands.map((command): Entry => ({ kind: 'command', command }));
  const said = hits.map((hit): Entry => ({ kind: 'hit', hit }));
  if (!asking) add('recent', text.threads.recent, chats);
  add('commands', text.threads.commands, tasks);
  if (asking) {
    add('titles', text.threads.titles, chats);
    add('messages', text.threads.messages, said);
  }
  return parts;
}
