// A markdown text in the page, kept up with while it grows: finished blocks are laid out once and
// never touched again, the open one is changed in place. Work is done at most once a frame, less
// often when it takes long, and a long text in slices.
import { heal } from './heal';
import { morph } from './morph';
import { codeBox, fitHeadings, NO_HEADINGS, render, type Headings } from './render';
import { BLOCK_LIMIT, Splitter, type Block } from './splitter';
import { text as words } from '../text';

const SLICE_CHARACTERS = 16_000;
const SLICE_MS = 8;
const FRAME_MS = 16;
const PAUSE_MS = 40; // between two layouts of growing text
const PAUSE_TIMES_WORK = 6; // they take at most a seventh of the time
const CODE_SHOWN = 60_000; // characters; the rest when asked for
const TEXT_SHOWN = 200_000; // likewise

export interface MarkdownViewOptions {
  /** A block is finished, while the text was growing: its words. */
  onblock?: (words: string) => void;
}

export class MarkdownView {
  #splitter = new Splitter();
  #elements: HTMLElement[] = []; // one a block; one more for the open one
  #headings: Headings[] = [NO_HEADINGS]; // before each block
  #shown = 0; // blocks that are laid out for good
  #text = '';
  #end = 0; // what is behind it is shown when asked for
  #taken = 0; // characters that the splitter has
  #open = false;
  #ended = false;
  #frame = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #notBefore = 0;

  constructor(
    readonly root: HTMLElement,
    readonly options: MarkdownViewOptions = {},
  ) {}

  /** What is to be shown; `open` says that more will come. */
  set(text: string, open: boolean): void {
    if (text === this.#text && open === this.#open) return;
    if (!text.startsWith(this.#text) || (this.#ended && text !== this.#text)) this.#reset();
    const first = this.#text === '';
    this.#text = text;
    this.#end = text.length <= TEXT_SHOWN ? text.length : text.lastIndexOf('\n', TEXT_SHOWN) + 1;
    this.#open = open;
    if (first) this.#work();
    else this.#schedule();
  }

  destroy(): void {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
  }

  #reset(): void {
    this.#splitter = new Splitter();
    this.root.replaceChildren();
    this.#elements = [];
    this.#headings = [NO_HEADINGS];
    this.#shown = 0;
    this.#text = '';
    this.#taken = 0;
    this.#ended = false;
  }

  #schedule(): void {
    if (this.#frame || this.#timer) return;
    const growing = this.#open && this.#shown === this.#splitter.blocks.length;
    const wait = growing ? this.#notBefore - performance.now() : 0;
    if (wait > FRAME_MS) this.#timer = setTimeout(() => this.#inFrame(), wait - FRAME_MS);
    else this.#inFrame();
  }

  #inFrame(): void {
    this.#timer = undefined;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#work();
    });
  }

  #work(): void {
    const begun = performance.now();
    const late = () => performance.now() - begun > SLICE_MS;
    do this.#take();
    while (this.#taken < this.#end && !late());
    if (this.#taken === this.#end && !this.#open && !this.#ended) {
      this.#ended = true;
      this.#change(this.#splitter.end());
    }
    const all = this.#showBlocks(late);
    if (all && this.#ended) this.#finish();
    else if (all) this.#showOpen();
    const now = performance.now();
    this.#notBefore = now + Math.max(PAUSE_MS, (now - begun) * PAUSE_TIMES_WORK);
    if (!all || this.#taken < this.#end) this.#schedule();
  }

  #take(): void {
    const part = this.#text.slice(this.#taken, Math.min(this.#taken + SLICE_CHARACTERS, this.#end));
    this.#taken += part.length;
    this.#change(this.#splitter.push(part));
  }

  // No more will come.
  #finish(): void {
    this.#dropOpen();
    if (this.#end < this.#text.length && !this.root.querySelector(':scope > .rest')) {
      const rest = document.createElement('div');
      rest.className = 'block rest';
      layPlain(rest, this.#text.slice(this.#end));
      this.root.append(rest);
    }
  }

  #change(indices: number[]): void {
    for (const i of indices) {
      const block = this.#splitter.blocks[i];
      if (i < this.#shown && block) this.#lay(block, i);
    }
  }

  // False when some are left for the next frame.
  #showBlocks(late: () => boolean): boolean {
    const { blocks } = this.#splitter;
    while (this.#shown < blocks.length) {
      const growing = this.#open || this.#elements.length > this.#shown;
      const element = this.#lay(blocks[this.#shown]!, this.#shown);
      if (growing) this.options.onblock?.(spoken(blocks[this.#shown]!, element));
      this.#shown++;
      if (late()) break;
    }
    return this.#shown === blocks.length;
  }

  #elementAt(index: number): HTMLElement {
    let element = this.#elements[index];
    if (!element) {
      element = document.createElement('div');
      element.className = 'block';
      this.#elements[index] = element;
      this.root.append(element);
    }
    return element;
  }

  #lay(block: Block, index: number): HTMLElement {
    const element = this.#elementAt(index);
    const before = this.#headings[index]!;
    this.#headings[index + 1] = before;
    if (block.kind === 'code') layCode(element, block.language, block.code);
    else if (block.kind === 'plain') layPlain(element, block.source);
    else {
      const fragment = render(block.tokens);
      this.#headings[index + 1] = fitHeadings(fragment, before);
      morph(element, fragment);
    }
    return element;
  }

  #showOpen(): void {
    const code = this.#splitter.openCode;
    if (code) {
      layCode(this.#elementAt(this.#shown), code.language, code.code);
      return;
    }
    const source = this.#splitter.open;
    if (this.#splitter.openIsPlain) {
      this.#dropOpen(); // a button that changes all the time would be in nobody's interest
      return;
    }
    const tokens = this.#splitter.preview(heal(source.slice(0, BLOCK_LIMIT)));
    const fragment = render(tokens);
    fitHeadings(fragment, this.#headings[this.#shown]!);
    if (fragment.childNodes.length) morph(this.#elementAt(this.#shown), fragment);
    else this.#dropOpen();
  }

  #dropOpen(): void {
    this.#elements[this.#shown]?.remove();
    this.#elements.length = Math.min(this.#elements.length, this.#shown);
  }
}

function spoken(block: Block, element: HTMLElement): string {
  if (block.kind === 'code') return words.chat.codeIn(block.language);
  return element.textContent;
}

// Code in a block of its own grows in place; all else of the box stays.
function layCode(element: HTMLElement, language: string, code: string): void {
  const shown = code.slice(0, CODE_SHOWN);
  const rest = code.length - shown.length;
  const box = element.firstElementChild;
  if (element.childElementCount === 0 || !box?.classList.contains('code-box')) {
    element.replaceChildren(codeBox(language, shown));
  } else {
    const body = box.querySelector('code')!;
    const node = body.firstChild;
    if (!(node instanceof Text)) body.textContent = shown;
    else if (shown.startsWith(node.data)) node.appendData(shown.slice(node.length));
    else node.data = shown;
  }
  const button = element.querySelector(':scope > .show-all');
  if (rest === 0) button?.remove();
  else if (!button) element.append(showAll(() => code, element));
}

function layPlain(element: HTMLElement, source: string): void {
  element.replaceChildren(showAll(() => source, element));
}

// What is too much to be laid out with the rest: as plain text, when somebody asks for it.
function showAll(source: () => string, element: HTMLElement): HTMLElement {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'show-all';
  button.textContent = words.chat.showAll;
  button.addEventListener('click', () => {
    const pre = document.createElement('pre');
    pre.className = 'plain';
    pre.tabIndex = 0;
    element.replaceChildren(pre);
    append(pre, source());
  });
  return button;
}

function append(pre: HTMLElement, rest: string): void {
  const part = rest.slice(0, SLICE_CHARACTERS);
  const piece = document.createElement('span');
  piece.textContent = part;
  pre.append(piece);
  if (rest.length > part.length) requestAnimationFrame(() => append(pre, rest.slice(part.length)));
}
