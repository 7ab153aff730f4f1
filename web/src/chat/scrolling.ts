// A list that is read from its end. At the end it stays there while it grows; elsewhere, what is
// being read stays where it is, whatever changes above it. Only a person's gesture upwards leaves
// the end.

const AT_END_PX = 4;
const NEAR_END_PX = 48;
const NEAR_TOP_PX = 1_200;

export interface ScrollingOptions {
  onmove: (state: { atEnd: boolean; nearTop: boolean }) => void;
}

export interface Place {
  turn: string;
  offset: number;
}

export class Scrolling {
  stuck = true;
  #anchor: { element: Element; top: number } | null = null;
  #touchY = 0;
  #height = 0;
  #stop = new AbortController();
  #resizes: ResizeObserver;

  constructor(
    readonly box: HTMLElement,
    readonly content: HTMLElement,
    readonly options: ScrollingOptions,
  ) {
    const { signal } = this.#stop;
    const passive = { passive: true, signal };
    box.addEventListener('scroll', () => this.#scrolled(), passive);
    box.addEventListener('wheel', (event) => event.deltaY < 0 && this.#leave(), passive);
    box.addEventListener('touchstart', (e) => (this.#touchY = e.touches[0]!.clientY), passive);
    box.addEventListener('touchmove', (event) => this.#touched(event), passive);
    box.addEventListener('keydown', (event) => this.#keyed(event), { signal });
    box.addEventListener('pointerdown', (event) => this.#grabbed(event), passive);
    this.#resizes = new ResizeObserver(() => this.settle());
    this.#resizes.observe(content);
    this.#resizes.observe(box);
  }

  destroy(): void {
    this.#stop.abort();
    this.#resizes.disconnect();
  }

  /** After a change of what is in the list, before it is painted. */
  settle(): void {
    if (this.stuck) {
      this.box.scrollTop = this.box.scrollHeight;
    } else if (this.#anchor?.element.isConnected) {
      const moved = this.#anchor.element.getBoundingClientRect().top - this.#anchor.top;
      if (Math.abs(moved) >= 1) this.box.scrollTop += moved;
    }
    this.#look();
  }

  toEnd(smooth = false): void {
    this.stuck = true;
    this.box.scrollTo({
      top: this.box.scrollHeight,
      behavior: smooth && this.#fromEnd() < 3 * this.box.clientHeight ? 'smooth' : 'instant',
    });
    this.#look();
  }

  /** Where the reader is; null at the end. */
  get place(): Place | null {
    if (this.stuck) return null;
    const top = this.box.getBoundingClientRect().top;
    for (const turn of this.content.querySelectorAll('[data-turn]')) {
      const box = turn.getBoundingClientRect();
      if (box.bottom > top) {
        return { turn: turn.getAttribute('data-turn')!, offset: box.top - top };
      }
    }
    return null;
  }

  /** Back to where the reader was; false when that is not there. */
  restore(place: Place): boolean {
    const turn = this.content.querySelector(`[data-turn="${CSS.escape(place.turn)}"]`);
    if (!turn) return false;
    this.stuck = false;
    const top = this.box.getBoundingClientRect().top + place.offset;
    this.box.scrollTop += turn.getBoundingClientRect().top - top;
    this.#look();
    return true;
  }

  #fromEnd(): number {
    return this.box.scrollHeight - this.box.clientHeight - this.box.scrollTop;
  }

  #leave(): void {
    if (this.box.scrollTop > 0) this.stuck = false;
  }

  #touched(event: TouchEvent): void {
    const y = event.touches[0]!.clientY;
    if (y > this.#touchY + 2) this.#leave();
    this.#touchY = y;
  }

  #keyed(event: KeyboardEvent): void {
    const up = ['PageUp', 'ArrowUp', 'Home'].includes(event.key);
    if (up || (event.key === ' ' && event.shiftKey)) this.#leave();
  }

  // The scroll bar is outside of what is in the box.
  #grabbed(event: PointerEvent): void {
    if (event.target === this.box && event.offsetX >= this.box.clientWidth) this.#leave();
  }

  #scrolled(): void {
    const shrunk = this.box.scrollHeight < this.#height;
    const fromEnd = this.#fromEnd();
    if (fromEnd <= AT_END_PX && !shrunk) this.stuck = true;
    this.#look();
  }

  // Remembers what is at the top of what is seen, and tells where that is.
  #look(): void {
    this.#height = this.box.scrollHeight;
    const top = this.box.getBoundingClientRect().top;
    const element = this.stuck ? null : this.#firstSeen(top);
    this.#anchor = element && { element, top: element.getBoundingClientRect().top };
    this.options.onmove({
      atEnd: this.stuck || this.#fromEnd() <= NEAR_END_PX,
      nearTop: this.box.scrollTop < NEAR_TOP_PX,
    });
  }

  #firstSeen(top: number): Element | null {
    const turns = this.content.querySelectorAll('[data-turn]');
    let low = 0;
    let high = turns.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (turns[middle]!.getBoundingClientRect().bottom <= top) low = middle + 1;
      else high = middle;
    }
    const turn = turns[low];
    if (!turn) return null;
    for (const part of turn.querySelectorAll('[data-anchor], .markdown > .block')) {
      const box = part.getBoundingClientRect();
      if (box.bottom > top && !part.querySelector('.markdown > .block')) return part;
    }
    return turn;
  }
}
