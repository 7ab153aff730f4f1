// How large images may be: what the gateway takes (docs/api.md: 6 MiB of content, 32 blocks), with
// room for the words beside them, and what models make use of.
import type { ImageDraft } from '../live/model';

export const TAKEN = ['image/png', 'image/jpeg', 'image/gif', 'image/webp'] as const;
export const MOST_IMAGES = 31; // and a block of text
export const LONGEST_SIDE = 2048;
export const MOST_BASE64 = 5.5 * 1024 * 1024; // of all images of a message
export const MOST_TEXT_BYTES = 256 * 1024;
/** A file is left as it is up to this size. */
export const LARGEST_FILE = 1.5 * 1024 * 1024;
/** What is tried, in this order, until an image is small enough. */
export const ATTEMPTS = [
  { side: LONGEST_SIDE, quality: 0.86 },
  { side: 1600, quality: 0.8 },
  { side: 1200, quality: 0.75 },
  { side: 800, quality: 0.7 },
] as const;

export const isTaken = (type: string): type is ImageDraft['mediaType'] =>
  (TAKEN as readonly string[]).includes(type);

/** Shrinks to `side` at most; nothing is made larger. */
export function fit(width: number, height: number, side: number) {
  const scale = Math.min(1, side / Math.max(width, height));
  return {
    width: Math.max(1, Math.round(width * scale)),
    height: Math.max(1, Math.round(height * scale)),
  };
}

/** Whether a file can go as it is. Animations would be lost by drawing them, so GIFs may be larger. */
export function goesAsIs(type: string, bytes: number, width: number, height: number): boolean {
  if (!isTaken(type)) return false;
  if (type === 'image/gif') return base64Length(bytes) <= MOST_BASE64;
  return bytes <= LARGEST_FILE && Math.max(width, height) <= LONGEST_SIDE;
}

export const base64Length = (bytes: number) => Math.ceil(bytes / 3) * 4;

export function room(images: readonly { data: string }[]): { images: number; base64: number } {
  const used = images.reduce((sum, image) => sum + image.data.length, 0);
  return {
    images: Math.max(0, MOST_IMAGES - images.length),
    base64: Math.max(0, MOST_BASE64 - used),
  };
}

export const textFits = (text: string) =>
  text.length * 3 <= MOST_TEXT_BYTES || new TextEncoder().encode(text).length <= MOST_TEXT_BYTES;
