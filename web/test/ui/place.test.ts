import { expect, test } from 'vitest';
import { placeIn } from '../../src/ui/place';

const view = { left: 0, top: 0, right: 390, bottom: 844 };
const anchor = (left: number, top: number) => ({ left, top, right: left + 44, bottom: top + 44 });

test('below and at the end of its button', () => {
  expect(placeIn(view, anchor(300, 10), 200, 100, { side: 'bottom', align: 'end' })).toEqual({
    left: 144,
    top: 58,
  });
});

test('turns to the other side where there is no room', () => {
  const low = placeIn(view, anchor(10, 790), 200, 300, { side: 'bottom', align: 'start' });
  expect(low.top).toBe(790 - 4 - 300);
  const high = placeIn(view, anchor(10, 10), 200, 300, { side: 'top', align: 'start' });
  expect(high.top).toBe(58);
});

test('never leaves what is seen', () => {
  const wide = placeIn(view, anchor(0, 10), 380, 100, { side: 'bottom', align: 'end' });
  expect(wide.left).toBe(8);
  const tall = placeIn(view, anchor(0, 400), 100, 828, { side: 'bottom', align: 'start' });
  expect(tall.top).toBe(8);
});
