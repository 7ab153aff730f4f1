// From a file of whatever kind to an image the gateway takes: read by the browser, drawn smaller
// when it is large, drawn at all when its format is another (HEIC, AVIF, BMP, SVG).
import { newId } from '../live/ids';
import type { ImageDraft } from '../live/model';
import { text } from '../text';
import { ATTEMPTS, base64Length, fit, goesAsIs, isTaken } from './image-limits';

export class ImageRefused extends Error {}

type Drawable = { source: CanvasImageSource; width: number; height: number; close: () => void };

async function viaElement(file: Blob): Promise<Drawable> {
  const url = URL.createObjectURL(file);
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch (error) {
    URL.revokeObjectURL(url);
    throw error;
  }
  return {
    source: image,
    width: image.naturalWidth,
    height: image.naturalHeight,
    close: () => URL.revokeObjectURL(url),
  };
}

async function decode(file: Blob): Promise<Drawable> {
  try {
    const bitmap = await createImageBitmap(file);
    const { width, height } = bitmap;
    return { source: bitmap, width, height, close: () => bitmap.close() };
  } catch {
    return viaElement(file); // knows formats that the above does not
  }
}

function draw(image: Drawable, side: number, opaque: boolean): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  Object.assign(canvas, fit(image.width, image.height, side));
  const context = canvas.getContext('2d')!;
  context.imageSmoothingQuality = 'high';
  if (opaque) {
    // JPEG knows no transparency: what is clear would become black.
    context.fillStyle = '#fff';
    context.fillRect(0, 0, canvas.width, canvas.height);
  }
  context.drawImage(image.source, 0, 0, canvas.width, canvas.height);
  return canvas;
}

const encode = (canvas: HTMLCanvasElement, type: string, quality: number) =>
  new Promise<Blob | null>((done) => canvas.toBlob(done, type, quality));

async function smaller(image: Drawable, file: Blob, limit: number): Promise<Blob | null> {
  // Drawings and pictures of screens stay sharp as PNG, when that is small enough.
  if (file.type === 'image/png') {
    const blob = await encode(draw(image, ATTEMPTS[0].side, false), 'image/png', 1);
    if (blob && blob.size * 2 <= limit) return blob;
  }
  for (const { side, quality } of ATTEMPTS) {
    const blob = await encode(draw(image, side, true), 'image/jpeg', quality);
    if (blob && blob.size <= limit) return blob;
  }
  return null;
}

async function base64(blob: Blob): Promise<string> {
  const reader = new FileReader();
  await new Promise((done, failed) => {
    reader.onload = done;
    reader.onerror = () => failed(reader.error);
    reader.readAsDataURL(blob);
  });
  return (reader.result as string).replace(/^[^,]*,/, '');
}

/** `roomBase64`: what may still be used of the message. Throws ImageRefused, in words for people. */
export async function prepareImage(file: File, roomBase64: number): Promise<ImageDraft> {
  const name = file.name || text.composer.image(1);
  let image: Drawable;
  try {
    image = await decode(file);
  } catch {
    throw new ImageRefused(text.composer.imageUnreadable(name));
  }
  try {
    const asIs = goesAsIs(file.type, file.size, image.width, image.height);
    const limit = Math.min(1_400_000, Math.floor(roomBase64 * 0.74));
    const blob = asIs ? file : await smaller(image, file, limit);
    if (!blob || !isTaken(blob.type)) throw new ImageRefused(text.composer.imageTooLarge(name));
    if (base64Length(blob.size) > roomBase64) {
      throw new ImageRefused(text.composer.imagesTooLarge(name));
    }
    const id = newId();
    return { id, mediaType: blob.type, data: await base64(blob), name };
  } finally {
    image.close();
  }
}

/** The images among what was pasted or dropped. */
export function imagesIn(data: DataTransfer | null): File[] {
  return [...(data?.files ?? [])].filter(
    (file) => file.type.startsWith('image/') || /\.(heic|heif)$/i.test(file.name),
  );
}
