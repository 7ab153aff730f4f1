// Which commands a few typed letters mean, the likeliest first.

export interface Findable {
  label: string;
  words?: string;
}

const fold = (text: string) => text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();

const wordsOf = (text: string) => fold(text).match(/[\p{L}\p{N}]+/gu) ?? [];

// 0: not meant. Each typed word must begin a word of the label or one that means the same.
function rank(command: Findable, typed: string[], whole: string): number {
  const label = wordsOf(command.label);
  const others = wordsOf(command.words ?? '');
  let score = 1;
  for (const word of typed) {
    if (label.some((own) => own.startsWith(word))) score += 2;
    else if (others.some((other) => other.startsWith(word))) score += 1;
    else return 0;
  }
  return fold(command.label).startsWith(whole) ? score + 10 : score;
}

export function filterCommands<T extends Findable>(commands: readonly T[], query: string): T[] {
  const typed = wordsOf(query);
  if (!typed.length) return query.trim() ? [] : [...commands];
  const whole = fold(query.trim());
  return commands
    .map((command, at) => ({ command, at, rank: rank(command, typed, whole) }))
    .filter((found) => found.rank)
    .sort((a, b) => b.rank - a.rank || a.at - b.at)
    .map((found) => found.command);
}

/** What was typed after a `/` that begins the message, or null when it is not about a command. */
export function commandQuery(message: string): string | null {
  const found = /^\/([^\s/]*(?: [^\s/]*)?)$/.exec(message);
  return found ? found[1]! : null;
}
