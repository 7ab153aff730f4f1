// A message while it is written: its words and images, kept over a reload.
import { drafts } from '../live/drafts';
import type { Draft, ImageDraft } from '../live/model';
import { text as words } from '../text';
import { toasts } from '../ui/toasts.svelte';
import { room, textFits, MOST_IMAGES } from './image-limits';
import { ImageRefused, prepareImage } from './images';

const SAVE_AFTER_MS = 400;

export class Composing {
  text = $state('');
  images = $state.raw<ImageDraft[]>([]);
  preparing = $state(0);
  #restoring = $state(true); // what was kept is not here yet
  readonly waits = $derived(this.preparing > 0 || this.#restoring); // for images
  readonly tooLong = $derived(!textFits(this.text));
  readonly empty = $derived(!this.text.trim() && !this.images.length);
  readonly sendable = $derived(!this.empty && !this.tooLong && !this.waits);

  #key: string | null;
  #touched = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #queue: Promise<void> = Promise.resolve();

  /** `key`: the thread's id; null: it has none yet. */
  constructor(key: string | null) {
    this.#key = key;
    this.text = drafts.text(key);
    void this.#restore();
  }

  async #restore(): Promise<void> {
    const draft = await drafts.load(this.#key);
    this.#restoring = false;
    this.images = [...draft.images, ...this.images];
    if (this.#touched) this.changed();
    else this.text = draft.text;
  }

  /** The new thread got its name. */
  rename(key: string | null): void {
    if (key === this.#key) return;
    void drafts.clear(this.#key);
    this.#key = key;
    if (!this.empty) this.changed();
  }

  changed(): void {
    this.#touched = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.save(), SAVE_AFTER_MS);
  }

  save(): void {
    clearTimeout(this.#timer);
    if (!this.#touched || this.#restoring) return;
    void drafts.save(this.#key, { text: this.text, images: this.images });
  }

  set(draft: Draft): void {
    this.text = draft.text;
    this.images = draft.images;
    this.changed();
  }

  /** What comes back, before what was written since. */
  putBefore(draft: Draft): void {
    this.set({
      text: [draft.text, this.text].filter((words) => words.trim()).join('\n\n'),
      images: [...draft.images, ...this.images],
    });
  }

  /** What is to be sent; nothing is left behind. */
  take(): Draft {
    const draft = { text: this.text.trim(), images: this.images };
    this.text = '';
    this.images = [];
    this.#touched = true;
    this.save();
    return draft;
  }

  remove(image: ImageDraft): void {
    this.images = this.images.filter((other) => other !== image);
    this.changed();
  }

  /** One after the other: each must know what room the ones before it left. */
  add(files: readonly File[]): void {
    this.preparing += files.length;
    for (const file of files) {
      this.#queue = this.#queue.then(() => this.#add(file)).finally(() => this.preparing--);
    }
  }

  async #add(file: File): Promise<void> {
    try {
      const left = room(this.images);
      if (!left.images) throw new ImageRefused(words.composer.imagesTooMany(MOST_IMAGES));
      const image = await prepareImage(file, left.base64);
      this.images = [...this.images, image];
      this.changed();
    } catch (error) {
      toasts.failed(error);
    }
  }
}
