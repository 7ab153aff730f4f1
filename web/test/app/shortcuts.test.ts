import { describe, expect, test } from 'vitest';
import { caps, hint, matches, parseShortcut, shortcutOf } from '../../src/app/shortcuts';

const press = (key: string, held: string[] = [], code?: string) => ({
  key,
  code,
  ctrlKey: held.includes('ctrl'),
  metaKey: held.includes('meta'),
  shiftKey: held.includes('shift'),
  altKey: held.includes('alt'),
});

describe('reading shortcuts', () => {
  test('modifiers and a key', () => {
    expect(parseShortcut('mod+shift+O')).toEqual({ mod: true, shift: true, alt: false, key: 'o' });
    expect(parseShortcut('Escape')).toEqual({
      mod: false,
      shift: false,
      alt: false,
      key: 'Escape',
    });
    expect(parseShortcut('mod+,').key).toBe(',');
    expect(parseShortcut('mod++').key).toBe('+');
  });

  test('what makes no sense is refused', () => {
    expect(() => parseShortcut('hyper+k')).toThrow('hyper');
    expect(() => parseShortcut('')).toThrow();
  });
});

describe('recognising', () => {
  const palette = parseShortcut('mod+k');

  test('mod is Command on Apple, Control elsewhere, and not the other one', () => {
    expect(matches(palette, press('k', ['ctrl']), false)).toBe(true);
    expect(matches(palette, press('k', ['meta']), false)).toBe(false);
    expect(matches(palette, press('k', ['meta']), true)).toBe(true);
    expect(matches(palette, press('k', ['ctrl']), true)).toBe(false);
    expect(matches(palette, press('k', ['ctrl', 'meta']), false)).toBe(false);
  });

  test('more held keys are another shortcut', () => {
    expect(matches(palette, press('K', ['ctrl', 'shift']), false)).toBe(false);
    expect(matches(palette, press('k', ['ctrl', 'alt']), false)).toBe(false);
    expect(matches(palette, press('k'), false)).toBe(false);
  });

  test('a question mark, wherever the layout has it', () => {
    expect(matches(parseShortcut('?'), press('?', ['shift']), false)).toBe(true);
    expect(matches(parseShortcut('?'), press('?'), false)).toBe(true);
  });

  test('a letter by its place where the layout writes another script', () => {
    expect(matches(palette, press('л', ['ctrl'], 'KeyK'), false)).toBe(true);
    expect(matches(palette, press('j', ['ctrl'], 'KeyK'), false)).toBe(false);
  });

  test('while typing only what no text contains', () => {
    expect(shortcutOf(press('?', ['shift']), true, false)).toBeNull();
    expect(shortcutOf(press('?', ['shift']), false, false)).toBe('sheet');
    expect(shortcutOf(press('/', ['ctrl']), true, false)).toBe('sheet');
    expect(shortcutOf(press('/'), true, false)).toBeNull();
    expect(shortcutOf(press('/'), false, false)).toBe('focusComposer');
    expect(shortcutOf(press('O', ['ctrl', 'shift']), true, false)).toBe('newChat');
    expect(shortcutOf(press('Escape'), true, false)).toBe('escape');
    expect(shortcutOf(press('x'), false, false)).toBeNull();
  });
});

test('shown as the keyboard has it', () => {
  expect(caps('mod+shift+o', false)).toEqual(['Ctrl', 'Shift', 'O']);
  expect(hint('mod+shift+o', true)).toBe('⇧⌘O');
  expect(hint('mod+shift+o', false)).toBe('Ctrl+Shift+O');
  expect(caps('Escape', true)).toEqual(['Esc']);
});
