// What is typed and not sent yet, a thread each: kept over reloads. Words stand in localStorage, so
// that they are there at once; images in IndexedDB. The oldest go first.
import type { Block } from '../api/types';
import type { Draft, ImageDraft, UserMessage } from './model';
import { session } from './session.svelte';
import { table } from './storage';

const KEY = 'adjutant.drafts';
const MOST = 50;
const MOST_BYTES = 1_000_000;

/** Whoever signs in here next does not see them. A chat that has no thread yet is 'new'. */
const keyOf = (threadId: string | null) => `${session.userId}/${threadId ?? 'new'}`;

interface Kept {
  text: string;
  images: boolean;
  at: number;
}

const images = table<ImageDraft[]>('drafts');

function read(): Record<string, Kept> {
  try {
    const value = JSON.parse(localStorage.getItem(KEY) ?? '{}');
    return value && typeof value === 'object' ? value : {};
  } catch {
    return {};
  }
}

function write(all: Record<string, Kept>): void {
  const entries = Object.entries(all).sort(([, a], [, b]) => b.at - a.at);
  let bytes = 0;
  const kept = entries.filter(([, d], i) => i < MOST && (bytes += d.text.length) <= MOST_BYTES);
  for (const [key, draft] of entries.slice(kept.length)) {
    if (draft.images) void images.delete(key);
  }
  try {
    localStorage.setItem(KEY, JSON.stringify(Object.fromEntries(kept)));
  } catch {
    // It stays in the composer as long as the page does.
  }
}

export const drafts = {
  /** The words alone, at once. */
  text(threadId: string | null): string {
    return read()[keyOf(threadId)]?.text ?? '';
  },

  async load(threadId: string | null): Promise<Draft> {
    const key = keyOf(threadId);
    const kept = read()[key];
    return {
      text: kept?.text ?? '',
      images: kept?.images ? ((await images.get(key)) ?? []) : [],
    };
  },

  /** An empty draft is forgotten. */
  async save(threadId: string | null, draft: Draft): Promise<void> {
    const key = keyOf(threadId);
    const all = read();
    const had = all[key];
    if (!draft.text && !draft.images.length) {
      if (!had) return;
      delete all[key];
      write(all);
    } else {
      all[key] = { text: draft.text, images: draft.images.length > 0, at: Date.now() };
      write(all);
    }
    // Plain copies: what a screen holds may be a proxy, which no database takes.
    const plain = draft.images.map((image) => ({ ...image }));
    if (plain.length) await images.put(key, plain);
    else if (had?.images) await images.delete(key);
  },

  clear(threadId: string | null): Promise<void> {
    return this.save(threadId, { text: '', images: [] });
  },
};

const TYPES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp'] as const;
const isType = (type: string): type is ImageDraft['mediaType'] =>
  (TYPES as readonly string[]).includes(type);

function base64(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).replace(/^[^,]*,/, ''));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

type Image = Extract<Block, { type: 'image' }>;

async function imageOf(block: Image, id: string): Promise<ImageDraft | null> {
  const { data, href, media_type: type = '' } = block;
  if (data && isType(type)) return { id, mediaType: type, data };
  if (!/^\/(?![/\\])/.test(href ?? '')) return null;
  const response = await fetch(href!);
  const blob = await response.blob();
  const mediaType = isType(type) ? type : blob.type;
  if (!response.ok || !isType(mediaType)) return null;
  return { id, mediaType, data: await base64(blob) };
}

/** What was said, to be said in other words: its text, and the images this gateway has. */
export async function draftOf(message: UserMessage): Promise<Draft> {
  const { content } = message;
  if (typeof content === 'string') return { text: content, images: [] };
  const made = content.map((block, i) =>
    block.type === 'image' ? imageOf(block, `${message.id}-${i}`).catch(() => null) : null,
  );
  return {
    text: content.flatMap((block) => (block.type === 'text' ? block.text : [])).join('\n\n'),
    images: (await Promise.all(made)).filter((image) => image !== null),
  };
}

/** A draft as the API takes it: words alone as a string. */
export function contentOf(draft: Draft): string | Block[] {
  if (!draft.images.length) return draft.text;
  const text: Block[] = draft.text.trim() ? [{ type: 'text', text: draft.text }] : [];
  return [
    ...draft.images.map((i): Block => ({ type: 'image', media_type: i.mediaType, data: i.data })),
    ...text,
  ];
}
