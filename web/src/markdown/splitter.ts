// Cuts a growing markdown text into blocks. A block is finished when no text that may follow can
// change it; only what is behind the last finished block is read again when more text comes. The
// blocks do not depend on how the text was cut while it came.
import { Lexer, type Token, type TokensList } from 'marked';

export type Block =
  | { kind: 'markdown'; source: string; tokens: Token[] }
  | { kind: 'code'; source: string; language: string; code: string }
  | { kind: 'plain'; source: string }; // what is too large to be laid out: shown when asked for

/** A block that is no fenced code is laid out up to this length. */
export const BLOCK_LIMIT = 16_000;

interface Fence {
  indent: number;
  closing: RegExp;
  language: string;
  body: number; // where the code begins in the open source
  scanned: number; // lines up to here do not close it
}

export class Splitter {
  readonly blocks: Block[] = [];
  /** The source behind the finished blocks. */
  open = '';
  #fence: Fence | null = null;
  #plain = false; // the open block is longer than the limit
  #looked = 0; // up to here the open source has been read
  #links: TokensList['links'] = Object.create(null);

  /** The code so far when the open block is fenced code; it does not have what may yet close it. */
  get openCode(): { language: string; code: string } | null {
    const fence = this.#fence;
    if (!fence) return null;
    let code = this.open.slice(fence.body);
    const lastLine = code.slice(code.lastIndexOf('\n') + 1);
    if (/^ {0,3}[`~]+ *$/.test(lastLine)) code = code.slice(0, -lastLine.length);
    return { language: fence.language, code: outdent(code.replace(/\n$/, ''), fence.indent) };
  }

  /** The open block is too long to be laid out. */
  get openIsPlain(): boolean {
    return this.#plain;
  }

  /** Takes more text in. The indices of earlier blocks that look otherwise now: a link in them got
   *  its address. */
  push(text: string): number[] {
    const links = Object.keys(this.#links).length;
    const blocks = this.blocks.length;
    this.open += text;
    while (this.#step(false));
    return this.#linked(links, blocks);
  }

  /** Nothing follows. */
  end(): number[] {
    const links = Object.keys(this.#links).length;
    const blocks = this.blocks.length;
    while (this.open && this.#step(true));
    return this.#linked(links, blocks);
  }

  // Finishes what can be finished next; false when nothing can.
  #step(ended: boolean): boolean {
    if (this.#fence) return this.#closeFence(this.#fence, ended);
    if (this.#plain) return this.#closePlain(ended);
    const whole = this.open.length <= BLOCK_LIMIT;
    const window = whole && ended ? this.open : completeLines(this.open.slice(0, BLOCK_LIMIT));
    if (window.length <= this.#looked && !ended && whole) return false;
    this.#looked = window.length;

    const { start, last } = lastBlock(window);
    if (start > 0) {
      this.#finish(start);
      return true;
    }
    const fence = last?.type === 'code' ? openingFence(window) : null;
    if (fence) {
      this.#fence = fence;
      return true;
    }
    if (!whole) {
      this.#beginPlain(window.length);
      return true;
    }
    if (ended) this.#finish(this.open.length);
    return false;
  }

  // The first `length` characters of the open source are blocks.
  #finish(length: number): void {
    const source = this.open.slice(0, length);
    for (const tokens of byBlock(this.#lex(source))) {
      const [token] = tokens;
      const source = rawOf(tokens);
      if (token?.type === 'code' && token.codeBlockStyle !== 'indented') {
        const language = languageOf(token.lang ?? '');
        this.blocks.push({ kind: 'code', source, language, code: token.text });
      } else {
        this.blocks.push({ kind: 'markdown', source, tokens });
      }
    }
    this.#drop(length);
  }

  #drop(length: number): void {
    this.open = this.open.slice(length);
    this.#fence = null;
    this.#looked = 0;
  }

  #closeFence(fence: Fence, ended: boolean): boolean {
    let at = fence.scanned;
    for (;;) {
      const newline = this.open.indexOf('\n', at);
      const lineEnd = newline < 0 ? this.open.length : newline;
      if (newline < 0 && !ended) break;
      if (fence.closing.test(this.open.slice(at, lineEnd))) {
        this.#finish(newline < 0 ? lineEnd : newline + 1);
        return true;
      }
      if (newline < 0) break;
      at = newline + 1;
    }
    fence.scanned = at;
    if (ended) this.#finish(this.open.length);
    return ended;
  }

  // What fits is laid out; the rest, up to an empty line, is one plain block.
  #beginPlain(fits: number): void {
    this.#finish(fits || BLOCK_LIMIT);
    this.#plain = true;
  }

  #closePlain(ended: boolean): boolean {
    const end = /\n[ \t]*\n/.exec(this.open);
    if (!end && !ended) return false;
    const length = end ? end.index + end[0].length : this.open.length;
    const source = this.open.slice(0, length);
    if (source.trim()) this.blocks.push({ kind: 'plain', source });
    this.#plain = false;
    this.#drop(length);
    return true;
  }

  #lex(source: string): Token[] {
    const lexer = new Lexer();
    lexer.tokens.links = this.#links;
    return lexer.lex(source);
  }

  // Addresses of links may stand at the end of a text: `[name]: https://...`.
  #linked(links: number, blocks: number): number[] {
    const names = Object.keys(this.#links).slice(links);
    const changed: number[] = [];
    if (names.length === 0) return changed;
    for (let i = 0; i < blocks; i++) {
      const block = this.blocks[i]!;
      if (block.kind !== 'markdown') continue;
      const source = block.source.toLowerCase().replace(/\s+/g, ' ');
      if (!names.some((name) => source.includes(`[${name}]`))) continue;
      block.tokens = this.#lex(block.source);
      changed.push(i);
    }
    return changed;
  }

  /** The open source laid out as it may look when it is finished. */
  preview(source: string): Token[] {
    const lexer = new Lexer();
    lexer.tokens.links = { ...this.#links };
    return lexer.lex(source);
  }
}

function completeLines(text: string): string {
  return text.slice(0, text.lastIndexOf('\n') + 1);
}

function outdent(code: string, indent: number): string {
  return indent ? code.replace(new RegExp(`^ {1,${indent}}`, 'gm'), '') : code;
}

function rawOf(tokens: Token[]): string {
  return tokens.map((token) => token.raw).join('');
}

// One list a block of what is seen; empty lines go with what is before them.
function byBlock(tokens: Token[]): Token[][] {
  const blocks: Token[][] = [];
  for (const token of tokens) {
    const before = blocks.at(-1);
    if (token.type === 'space' && before) before.push(token);
    else if (token.type !== 'space') blocks.push([token]);
  }
  return blocks;
}

// Where the last block of `source` begins: all before it is finished.
function lastBlock(source: string): { start: number; last: Token | undefined } {
  const tokens = new Lexer().blockTokens(source, []);
  const at = tokens.findLastIndex((token) => token.type !== 'space');
  const raw = rawOf(tokens.slice(Math.max(at, 0)));
  const start = at > 0 && source.endsWith(raw) ? source.length - raw.length : 0;
  return { start, last: tokens[at] };
}

function openingFence(source: string): Fence | null {
  const match = /^(?:[ \t]*\n)*( {0,3})(`{3,}(?=[^`\n]*\n)|~{3,})([^\n]*)\n/.exec(source);
  if (!match) return null;
  const [all, indent = '', marks = '', info = ''] = match;
  return {
    indent: indent.length,
    closing: new RegExp(`^ {0,3}${marks}[~\`]* *$`),
    language: languageOf(info),
    body: all.length,
    scanned: all.length,
  };
}

/** The first word behind a fence, when it can be the name of a language. */
export function languageOf(info: string): string {
  return /^[\w+#.-]{1,24}/.exec(info.trim())?.[0] ?? '';
}
