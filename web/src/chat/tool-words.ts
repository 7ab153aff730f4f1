// What tools do, in words: names as people write them, arguments in a line, results to be read.
import type { Block } from '../api/types';

/** `create_issue`, `createIssue` and `create-issue` as "Create issue". */
export function humanName(name: string): string {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/[_\-.\s]+/g, ' ')
    .trim()
    .toLowerCase();
  return words ? words[0]!.toUpperCase() + words.slice(1) : name;
}

export function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A value on one line. */
export function inline(value: unknown): string {
  const words = typeof value === 'string' ? value : JSON.stringify(value);
  return (words ?? '').replace(/\s+/g, ' ').trim();
}

const SUMMARY = 140;

/** The arguments of a call in a few words: the only one by itself, several with their names. */
export function summaryOf(argumentsJson: string): string {
  const value = parsed(argumentsJson);
  if (!isObject(value)) return '';
  const entries = Object.entries(value).filter(([, v]) => v !== null && v !== '');
  const words =
    entries.length === 1
      ? inline(entries[0]![1])
      : entries.map(([name, v]) => `${name}: ${inline(v)}`).join(', ');
  return words.length > SUMMARY ? `${words.slice(0, SUMMARY)}…` : words;
}

/** JSON laid out; what is no JSON as it is. */
export function pretty(json: string): string {
  const value = parsed(json);
  return value === undefined ? json : JSON.stringify(value, null, 2);
}

export interface Shown {
  texts: { text: string; json: boolean }[];
  images: ImageSource[];
}

export interface ImageSource {
  source?: string; // may be shown here
  link?: string; // is elsewhere: only a link
}

/** A result or a message of blocks: its words and its pictures. */
export function shownOf(content: string | Block[] | undefined): Shown {
  const shown: Shown = { texts: [], images: [] };
  const add = (words: string) => {
    if (!words.trim()) return;
    const json = /^\s*[[{]/.test(words) && parsed(words) !== undefined;
    shown.texts.push({ text: json ? pretty(words) : words, json });
  };
  if (typeof content === 'string') add(content);
  for (const block of Array.isArray(content) ? content : []) {
    if (block.type === 'text') add(block.text);
    else if (block.type === 'image') shown.images.push(imageOf(block));
  }
  return shown;
}

const PICTURE = /^image\/(?:png|jpeg|gif|webp)$/;

function imageOf(block: Extract<Block, { type: 'image' }>): ImageSource {
  if (/^\/(?![/\\])/.test(block.href ?? '')) return { source: block.href };
  if (block.data && PICTURE.test(block.media_type ?? '')) {
    return { source: `data:${block.media_type};base64,${block.data}` };
  }
  return block.url && /^https?:\/\//i.test(block.url) ? { link: block.url } : {};
}

/** The words of a message, for copying and editing. */
export function wordsOf(content: string | Block[]): string {
  if (typeof content === 'string') return content;
  return content.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join('\n\n');
}
