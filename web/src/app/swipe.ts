// A quick sideways stroke of one finger, as an attachment.
import type { Attachment } from 'svelte/attachments';

interface Stroke {
  direction: 'left' | 'right';
  from?: number; // px from the left edge in which it must begin; anywhere
  then: () => void;
}

const LONG_ENOUGH = 56;

export function swipe({ direction, from, then }: Stroke): Attachment<HTMLElement> {
  return (element) => {
    let start: Touch | undefined;

    const begin = (event: TouchEvent) => {
      const touch = event.touches.length === 1 ? event.touches[0] : undefined;
      start = touch && (from === undefined || touch.clientX <= from) ? touch : undefined;
    };
    const end = (event: TouchEvent) => {
      const touch = event.changedTouches[0];
      if (!start || !touch) return;
      const across = (touch.clientX - start.clientX) * (direction === 'right' ? 1 : -1);
      const along = Math.abs(touch.clientY - start.clientY);
      start = undefined;
      if (across > LONG_ENOUGH && along < across / 2) then();
    };
    element.addEventListener('touchstart', begin, { passive: true });
    element.addEventListener('touchend', end, { passive: true });
    return () => {
      element.removeEventListener('touchstart', begin);
      element.removeEventListener('touchend', end);
    };
  };
}
