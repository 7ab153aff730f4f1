// Tokens of markdown to nodes that may stand in the page. Whatever the words came from (a model, a
// web page, a tool), only what is listed here gets through: no script, no style, nothing that is
// loaded from elsewhere, links only to the web and to mail addresses.
import createPurifier from 'dompurify';
import { Marked, type Token } from 'marked';
import { text } from '../text';
import { languageOf } from './splitter';

const TAGS = [
  ...['p', 'br', 'hr', 'h3', 'h4', 'h5', 'h6', 'blockquote', 'pre', 'code', 'ul', 'ol', 'li'],
  ...['table', 'thead', 'tbody', 'tfoot', 'tr', 'th', 'td', 'caption', 'dl', 'dt', 'dd'],
  ...['a', 'strong', 'b', 'em', 'i', 'del', 's', 'ins', 'u', 'mark', 'sub', 'sup', 'small'],
  ...['kbd', 'samp', 'var', 'abbr', 'q', 'details', 'summary'],
];
const PLAIN = ['align', 'start', 'colspan', 'rowspan', 'open', 'data-lang', 'data-task'];
const LINK = /^(?:https?:\/\/|mailto:)/i;

/** An answer stands below the page's own headings. */
const HEADING_OFFSET = 2;

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escape = (s: string) => s.replace(/[&<>"]/g, (c) => escapes[c]!);

const marked = new Marked({
  gfm: true,
  renderer: {
    heading({ tokens, depth }) {
      const level = Math.min(depth + HEADING_OFFSET, 6);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
    },
    code({ text: code, lang }) {
      return `<pre data-lang="${escape(languageOf(lang ?? ''))}"><code>${escape(code)}</code></pre>`;
    },
    link({ href, tokens }) {
      const words = this.parser.parseInline(tokens);
      return LINK.test(href) ? `<a href="${escape(href)}">${words}</a>` : words;
    },
    image({ href, text: alt }) {
      return LINK.test(href)
        ? `<a href="${escape(href)}">${escape(text.chat.imageLink(alt))}</a>`
        : escape(alt);
    },
    listitem(item) {
      const task = item.task ? ` data-task="${item.checked ? 'done' : 'open'}"` : '';
      return `<li${task}>${this.parser.parse(item.tokens)}</li>\n`;
    },
    checkbox: () => '',
  },
});

// A document of its own: nothing in it is loaded or run. There, and nowhere else, text that was not
// cleaned yet may become HTML, which is what this policy of the page says (trusted types).
const workshop = document.implementation.createHTMLDocument('');
const uncleaned = (
  window as unknown as {
    trustedTypes?: {
      createPolicy(
        name: string,
        rules: { createHTML(html: string): string },
      ): { createHTML(html: string): string };
    };
  }
).trustedTypes?.createPolicy('adjutant-markdown', { createHTML: (html) => html });
const purifier = createPurifier(window);
purifier.setConfig({
  ALLOWED_TAGS: TAGS,
  ALLOWED_ATTR: ['href', ...PLAIN],
  ADD_URI_SAFE_ATTR: PLAIN,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOWED_URI_REGEXP: LINK,
  IN_PLACE: true,
});
purifier.addHook('uponSanitizeElement', (node) => {
  if (node.nodeName !== 'IMG') return;
  const image = node as HTMLElement;
  const source = image.getAttribute('src') ?? '';
  const link = image.ownerDocument.createElement('a');
  link.textContent = text.chat.imageLink(image.getAttribute('alt') ?? '');
  if (LINK.test(source)) link.href = source;
  image.parentNode?.insertBefore(link, image);
});

/** What is shown of these tokens. */
export function render(tokens: Token[]): DocumentFragment {
  return sanitize(marked.parser(tokens));
}

/** HTML that came from outside, without all that is not wanted. */
export function sanitize(html: string): DocumentFragment {
  const bench = workshop.createElement('blockquote');
  bench.innerHTML = uncleaned ? uncleaned.createHTML(html) : html;
  purifier.sanitize(bench);
  const fragment = document.createDocumentFragment();
  fragment.append(...bench.childNodes);
  furnish(fragment);
  return fragment;
}

// What is our own is put in after cleaning, so that no answer can imitate it.
function furnish(fragment: DocumentFragment): void {
  for (const link of fragment.querySelectorAll('a')) {
    if (!link.hasAttribute('href')) continue;
    link.target = '_blank';
    link.rel = 'noopener noreferrer';
  }
  for (const pre of fragment.querySelectorAll('pre')) {
    const box = codeBox(pre.dataset.lang ?? '', pre.textContent.replace(/\n$/, ''));
    pre.replaceWith(box);
  }
  for (const table of fragment.querySelectorAll('table')) {
    const box = element('div', 'table-box');
    scrollable(box, text.chat.table);
    table.replaceWith(box);
    box.append(table);
  }
  for (const item of fragment.querySelectorAll<HTMLElement>('li[data-task]')) {
    const done = item.dataset.task === 'done';
    const mark = element('span', 'task');
    mark.setAttribute('role', 'img');
    mark.setAttribute('aria-label', done ? text.chat.taskDone : text.chat.taskOpen);
    (item.firstElementChild?.nodeName === 'P' ? item.firstElementChild : item).prepend(mark);
  }
}

/** Where a text's headings stand: the level of its first one, and of the last one shown. */
export interface Headings {
  first: number;
  last: number;
}

export const NO_HEADINGS: Headings = { first: 0, last: 2 };
const TOP = 3; // the page's own are above
const LOWEST = 6;

/** Moves the headings up so that the first is the highest and none is left out on the way down. */
export function fitHeadings(fragment: ParentNode, before: Headings): Headings {
  let { first, last } = before;
  for (const heading of fragment.querySelectorAll('h3, h4, h5, h6')) {
    const level = Number(heading.nodeName[1]);
    first ||= level;
    last = Math.max(TOP, Math.min(TOP + level - first, last + 1, LOWEST));
    if (last === level) continue;
    const fitting = element(`h${last}`, '');
    fitting.append(...heading.childNodes);
    heading.replaceWith(fitting);
  }
  return { first, last };
}

/** A box with code in it: its language, a button that copies it (see copying.ts). */
export function codeBox(language: string, code: string): HTMLElement {
  const box = element('div', 'code-box');
  const head = element('div', 'code-head');
  const label = element('span', 'code-language');
  label.textContent = language || text.chat.code;
  const copy = element('button', 'code-copy');
  copy.setAttribute('type', 'button');
  copy.textContent = text.common.copy;
  const pre = element('pre', '');
  scrollable(pre, language ? text.chat.codeIn(language) : text.chat.code);
  const body = element('code', '');
  body.textContent = code;
  pre.append(body);
  head.append(label, copy);
  box.append(head, pre);
  return box;
}

function element(name: string, className: string): HTMLElement {
  const made = document.createElement(name);
  if (className) made.className = className;
  return made;
}

// What scrolls by itself must be reached by the keyboard.
function scrollable(box: HTMLElement, label: string): void {
  box.tabIndex = 0;
  box.setAttribute('role', 'group');
  box.setAttribute('aria-label', label);
}
