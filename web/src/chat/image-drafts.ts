// The pictures of a message that was sent, for sending them again.
import type { Block } from '../api/types';
import type { ImageDraft } from '../live/model';

type Image = Extract<Block, { type: 'image' }>;

const TYPES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp'];
const isType = (type: string | undefined): type is ImageDraft['mediaType'] =>
  TYPES.includes(type ?? '');

/** What is elsewhere on the web is left out, and what can't be loaded. */
export async function imageDraftsOf(content: string | Block[]): Promise<ImageDraft[]> {
  const blocks = Array.isArray(content) ? content : [];
  const images = blocks.filter((block): block is Image => block.type === 'image');
  const drafts = await Promise.all(images.map((image, i) => draftOf(image, String(i))));
  return drafts.filter((draft) => draft !== null);
}

async function draftOf(image: Image, id: string): Promise<ImageDraft | null> {
  if (image.data && isType(image.media_type)) {
    return { id, mediaType: image.media_type, data: image.data };
  }
  if (!/^\/(?!\/)/.test(image.href ?? '')) return null;
  try {
    const response = await fetch(image.href!);
    const blob = await response.blob();
    const mediaType = isType(image.media_type) ? image.media_type : blob.type;
    if (!response.ok || !isType(mediaType)) return null;
    return { id, mediaType, data: await base64(blob) };
  } catch {
    return null;
  }
}

function base64(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).replace(/^[^,]*,/, ''));
    reader.onerror = () => reject(reader.error!);
    reader.readAsDataURL(blob);
  });
}
