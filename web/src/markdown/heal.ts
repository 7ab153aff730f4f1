// Markdown that stops anywhere, made so that it looks as it will when it goes on: what is open is
// closed, and what can't be told yet is left out. Only for showing: the text itself stays as it is.

/** What a line that is not at its end may begin as: a rule, a heading, a list, a fence. */
const UNDECIDED =
  /^[ \t]*(?:>[ \t]*)*(?:[-*+_=]+|#{1,6}|`{1,2}|~{1,2}|(`{3,}|~{3,})[^`\n]*|\|)[ \t]*$/;
const NUMBER = /^[ \t]*\d{1,9}[.)]?[ \t]*$/;
/** Where a line begins anew: inline markup does not reach over it. */
const LEAF =
  /^[ \t]*(?:>[ \t]?)*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+(?:\[[ xX]?\]?[ \t]*)?|#{1,6}[ \t]+)?/;

/** The end of a text's last block, `source` being this block. */
export function heal(source: string): string {
  const lines = source.split('\n');
  const last = lines.at(-1)!;
  const first = lines.length === 1;
  if (UNDECIDED.test(last) || (!first && NUMBER.test(last))) lines.pop();
  if (insideFence(lines)) return lines.join('\n');
  const table = healTable(lines);
  if (table) return table;

  const start = leafStart(lines);
  const head = lines.slice(0, start).join('\n');
  const leaf = lines.slice(start).join('\n');
  const marker = LEAF.exec(leaf)?.[0].length ?? 0;
  const cell = leaf.trimStart().startsWith('|') ? leaf.lastIndexOf('|') + 1 : marker;
  const healed = leaf.slice(0, cell) + closeInline(leaf.slice(cell));
  return head ? `${head}\n${healed}` : healed;
}

// A fence within a list or a quotation.
function insideFence(lines: string[]): boolean {
  let open: string | null = null;
  for (const line of lines) {
    const marks = /^(?:[ \t]|>|[-*+][ \t]|\d{1,9}[.)][ \t])*(`{3,}|~{3,})/.exec(line)?.[1];
    if (!marks) continue;
    if (!open) open = marks;
    else if (marks[0] === open[0] && marks.length >= open.length) open = null;
  }
  return open !== null;
}

// A part of the line below a table's header: nothing but rules and what is between them.
function isTableRule(line: string): boolean {
  return /^[ \t|:-]*$/.test(line);
}

// A table can be told by its second line, which is half written for a while.
function healTable(lines: string[]): string | null {
  const written = lines.findIndex((line) => line.trim() !== '');
  const header = lines[written]?.trim();
  if (!header?.startsWith('|')) return null;
  const below = lines.slice(written + 1);
  if (below.length > 1 || (below[0]?.trim() && !isTableRule(below[0]))) return null;
  const closed = header.length > 1 && header.endsWith('|') ? header : `${closeInline(header)} |`;
  const columns = closed.replace(/\\\|/g, '').split('|').length - 2;
  return `${closed}\n|${' - |'.repeat(Math.max(columns, 1))}`;
}

function leafStart(lines: string[]): number {
  for (let i = lines.length - 1; i > 0; i--) {
    const line = lines[i]!;
    if (line.trim() === '') return Math.min(i + 1, lines.length - 1);
    if (LEAF.exec(line)![0].trim() || line.trimStart().startsWith('|')) return i;
  }
  return 0;
}

interface Opener {
  mark: string;
  count: number;
  at: number;
}

class Inline {
  readonly openers: Opener[] = [];
  constructor(public text: string) {}

  // Emphasis: how many marks of a run close, and what stays opens.
  run(at: number, count: number): void {
    const mark = this.text[at]!;
    const before = this.text[at - 1] ?? ' ';
    const after = this.text[at + count] ?? ' ';
    const word = (c: string) => /[\p{L}\p{N}]/u.test(c);
    const within = mark === '_' && word(before) && word(after);
    let left = count;
    if (!/\s/.test(before) && !within) {
      for (let i = this.openers.length - 1; i >= 0 && left > 0; i--) {
        const opener = this.openers[i]!;
        if (opener.mark !== mark) continue;
        const used = Math.min(opener.count, left, mark === '~' ? opener.count : 2);
        opener.count -= used;
        left -= used;
        if (opener.count === 0) this.openers.length = i;
        else i++;
      }
    }
    if (left > 0 && !/\s/.test(after) && !within) this.openers.push({ mark, count: left, at });
  }

  // The text with a mark that closes for each that opened.
  closed(): string {
    let text = this.text;
    const open = this.openers.filter(({ count }) => count > 0);
    while (open.length && open.at(-1)!.at + open.at(-1)!.count >= text.trimEnd().length) {
      text = text.slice(0, open.pop()!.at);
    }
    if (open.length === 0) return text;
    return (
      text.trimEnd() +
      open
        .reverse()
        .map(({ mark, count }) => mark.repeat(count))
        .join('')
    );
  }
}

/** Inline markup that ends anywhere, closed. */
export function closeInline(source: string): string {
  const inline = new Inline(source);
  const brackets: { at: number; image: boolean }[] = [];
  for (let i = 0; i < inline.text.length;) {
    const text = inline.text;
    const c = text[i]!;
    if (c === '\\') {
      if (i + 1 === text.length) inline.text = text.slice(0, i);
      i += 2;
    } else if (c === '`') {
      const next = passCode(inline, i);
      if (next < 0) return inline.closed();
      i = next;
    } else if (c === '<' && /^<(?:[a-z/!]|$)/i.test(text.slice(i)) && !text.includes('>', i)) {
      if (text.length - i > 2_000) i++;
      else inline.text = text.slice(0, i);
    } else if (c === '[') {
      const image = text[i - 1] === '!';
      brackets.push({ at: image ? i - 1 : i, image });
      i++;
    } else if (c === ']' && brackets.length) {
      i = passLink(inline, i, brackets.pop()!);
    } else if (c === '*' || c === '_' || c === '~') {
      const count = runLength(text, i);
      if (i + count === text.length) trimRun(inline, i);
      else inline.run(i, count);
      i += count;
    } else {
      i++;
    }
  }
  hideBrackets(inline, brackets);
  return inline.closed();
}

function runLength(text: string, at: number): number {
  let end = at;
  while (text[end] === text[at]) end++;
  return end - at;
}

// A run of marks at the very end may grow: it only closes what it certainly closes.
function trimRun(inline: Inline, at: number): void {
  const before = inline.text[at - 1] ?? ' ';
  const closes = !/\s/.test(before) && inline.openers.some((o) => o.mark === inline.text[at]);
  if (!closes || inline.openers.length) inline.text = inline.text.slice(0, at);
}

// Behind a code span, or -1 when it is open: then it is closed and the text ends here.
function passCode(inline: Inline, at: number): number {
  const { text } = inline;
  const count = runLength(text, at);
  for (let i = at + count; i < text.length;) {
    if (text[i] !== '`') {
      i++;
      continue;
    }
    const n = runLength(text, i);
    if (n === count) return i + n;
    i += n;
  }
  const content = text.slice(at + count).replace(/`+$/, '');
  const marks = '`'.repeat(count);
  const head = text.slice(0, at);
  // Emphasis around it is closed behind it.
  const code = content.trim() ? marks + content + marks : '';
  inline.text = head + code;
  return -1;
}

// Behind a link; a link whose address is not at its end yet is only its words.
function passLink(inline: Inline, at: number, open: { at: number; image: boolean }): number {
  const { text } = inline;
  const label = text.slice(open.at + (open.image ? 2 : 1), at);
  const next = text[at + 1];
  if (next === undefined && (label.length <= 1 || /^\^/.test(label))) return at + 1;
  if (next !== undefined && next !== '(') return at + 1;
  if (next === '(') {
    const end = addressEnd(text, at + 1);
    if (end >= 0) return end;
    if (text.length - at > 4_000) return at + 1;
  }
  if (open.image) dropFrom(inline, open.at);
  else hideMark(inline, open.at, label);
  return inline.text.length;
}

function addressEnd(text: string, at: number): number {
  let depth = 0;
  for (let i = at; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '\n' && text[i + 1] === '\n') return -1;
    else if (text[i] === '(') depth++;
    else if (text[i] === ')' && --depth === 0) return i + 1;
  }
  return -1;
}

// The words of a link that is being written, without the bracket before them.
function hideBrackets(inline: Inline, brackets: { at: number; image: boolean }[]): void {
  const open = brackets.at(-1);
  if (!open || inline.text.length - open.at > 300) return;
  if (open.image) dropFrom(inline, open.at);
  else if (!/[\p{L}\p{N}]/u.test(inline.text[open.at - 1] ?? ' ')) {
    hideMark(inline, open.at, inline.text.slice(open.at + 1));
  }
}

function hideMark(inline: Inline, at: number, rest: string): void {
  inline.text = inline.text.slice(0, at) + rest;
  for (const opener of inline.openers) if (opener.at > at) opener.at--;
}

function dropFrom(inline: Inline, at: number): void {
  inline.text = inline.text.slice(0, at);
  while (inline.openers.length && inline.openers.at(-1)!.at >= at) inline.openers.pop();
}
