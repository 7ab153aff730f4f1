import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { leave, openTab, settle, world } from '../page';

const kept = new Map<string, string>();
const image = { id: 'i', mediaType: 'image/png' as const, data: 'AAAA' };

beforeEach(() => {
  kept.clear();
  world();
  vi.stubGlobal('localStorage', {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
  });
});
afterEach(leave);

test('images that were kept are not lost to who writes before they are there', async () => {
  const tab = await openTab();
  const { drafts } = await import('../../src/live/drafts');
  const { Composing } = await import('../../src/chat/composing.svelte');
  const saved = drafts.save('t', { text: 'look', images: [image] });
  await settle();
  await saved;
  const composing = new Composing('t');
  expect(composing.text).toBe('look');
  composing.set({ text: 'look at this', images: [] });
  composing.save(); // the page was hidden
  expect(composing.sendable).toBe(false);
  await settle(1_000);
  expect(composing.sendable).toBe(true);
  expect(composing.take()).toEqual({ text: 'look at this', images: [image] });
  await settle();
  await tab.close();
});
