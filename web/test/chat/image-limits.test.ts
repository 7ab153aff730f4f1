import { expect, test } from 'vitest';
import {
  base64Length,
  fit,
  goesAsIs,
  LARGEST_FILE,
  MOST_BASE64,
  MOST_IMAGES,
  room,
  textFits,
} from '../../src/chat/image-limits';

test('the longer side decides, and nothing grows', () => {
  expect(fit(4032, 3024, 2048)).toEqual({ width: 2048, height: 1536 });
  expect(fit(3024, 4032, 2048)).toEqual({ width: 1536, height: 2048 });
  expect(fit(100, 50, 2048)).toEqual({ width: 100, height: 50 });
  expect(fit(100_000, 3, 2048)).toEqual({ width: 2048, height: 1 });
});

test('what goes as it is', () => {
  expect(goesAsIs('image/png', 1000, 800, 600)).toBe(true);
  expect(goesAsIs('image/heic', 1000, 800, 600)).toBe(false);
  expect(goesAsIs('image/svg+xml', 1000, 800, 600)).toBe(false);
  expect(goesAsIs('image/jpeg', LARGEST_FILE + 1, 800, 600)).toBe(false);
  expect(goesAsIs('image/jpeg', 1000, 2049, 10)).toBe(false);
  expect(goesAsIs('image/gif', LARGEST_FILE + 1, 800, 600)).toBe(true);
  expect(goesAsIs('image/gif', MOST_BASE64, 800, 600)).toBe(false);
});

test('the length of base64, with its padding', () => {
  for (const bytes of [0, 1, 2, 3, 4, 1000]) {
    expect(base64Length(bytes)).toBe(btoa('x'.repeat(bytes)).length);
  }
});

test('room is what is left, never less than nothing', () => {
  expect(room([])).toEqual({ images: MOST_IMAGES, base64: MOST_BASE64 });
  const large = { data: 'x'.repeat(MOST_BASE64 - 10) };
  expect(room([large])).toEqual({ images: MOST_IMAGES - 1, base64: 10 });
  expect(room([large, large]).base64).toBe(0);
});

test('what is sent fits into what the gateway takes', () => {
  expect(MOST_BASE64 + 256 * 1024).toBeLessThan(6 * 1024 * 1024);
});

test('words are counted in bytes', () => {
  expect(textFits('x'.repeat(256 * 1024))).toBe(true);
  expect(textFits('x'.repeat(256 * 1024 + 1))).toBe(false);
  expect(textFits('é'.repeat(128 * 1024 + 1))).toBe(false);
  expect(textFits('')).toBe(true);
});
