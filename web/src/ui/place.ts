// Puts a popover (position: fixed) beside what opened it, inside the part of the page one sees.

export interface Placing {
  side: 'top' | 'bottom'; // the other one when there is no room
  align: 'start' | 'end';
}

interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

const GAP = 4;
const EDGE = 8;

export function placeIn(view: Box, anchor: Box, width: number, height: number, at: Placing) {
  const below = anchor.bottom + GAP;
  const above = anchor.top - GAP - height;
  const fitsBelow = below + height <= view.bottom - EDGE;
  const fitsAbove = above >= view.top + EDGE;
  const down = at.side === 'bottom' ? fitsBelow || !fitsAbove : fitsBelow && !fitsAbove;
  const clamp = (value: number, low: number, high: number) => Math.max(low, Math.min(value, high));
  const left = at.align === 'start' ? anchor.left : anchor.right - width;
  return {
    left: clamp(left, view.left + EDGE, view.right - EDGE - width),
    top: clamp(down ? below : above, view.top + EDGE, view.bottom - EDGE - height),
  };
}

export function place(popover: HTMLElement, anchor: Element, at: Placing): void {
  const seen = visualViewport;
  const left = seen?.offsetLeft ?? 0;
  const top = seen?.offsetTop ?? 0;
  const view = {
    left,
    top,
    right: left + (seen?.width ?? innerWidth),
    bottom: top + (seen?.height ?? innerHeight),
  };
  const to = placeIn(
    view,
    anchor.getBoundingClientRect(),
    popover.offsetWidth,
    popover.offsetHeight,
    at,
  );
  popover.style.left = `${to.left}px`;
  popover.style.top = `${to.top}px`;
}
