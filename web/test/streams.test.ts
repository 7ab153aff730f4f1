// Streams of the real gateway (record.mjs), cut and joined in all ways, against what it stored.
import { describe, expect, test } from 'vitest';
import type { ThreadPage } from '../src/api/types';
import { type AguiFrame, TurnReader } from '../src/live/agui';
import { giveUpCalls, historyOf } from '../src/live/history';
import type { ToolItem, TurnView } from '../src/live/model';

interface Recorded {
  name: string;
  threadId: string;
  turnId: string;
  frames: AguiFrame[];
  page: ThreadPage;
}

const files = import.meta.glob<string>('./data/*.jsonl', {
  query: '?raw',
  import: 'default',
  eager: true,
});
const recorded: Recorded[] = Object.values(files).flatMap((file) =>
  file
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line)),
);

const newView = (id: string): TurnView => ({ id, state: 'queued', items: [], interrupts: [] });

/** All turns of the recording's thread before it, and itself, as their events have them. */
function live(r: Recorded, pieces: AguiFrame[][]): TurnView[] {
  const turns: TurnView[] = [];
  for (const other of recorded) {
    if (other.threadId !== r.threadId) continue;
    const turn = newView(other.turnId);
    const reader = new TurnReader(turn, { callElsewhere: (id) => callOf(turns, id) });
    for (const piece of other === r ? pieces : [other.frames]) reader.apply(structuredClone(piece));
    turns.push(turn);
    if (other === r) break;
  }
  return turns;
}

function callOf(turns: TurnView[], id: string): ToolItem | undefined {
  for (const turn of turns) {
    for (const item of turn.items) if (item.kind === 'tool' && item.id === id) return item;
  }
  return undefined;
}

/** Without what only one of the two sources can know. */
function comparable(turn: TurnView): unknown {
  return {
    id: turn.id,
    state: turn.state,
    error: turn.error,
    items: turn.items.map((item) => {
      if (item.kind === 'tool') {
        const { startedAt: _, endedAt: __, interrupt: ___, ...rest } = item;
        return { ...rest, result: withoutBytes(rest.result) };
      }
      if (item.kind === 'reasoning') return { ...item, seconds: undefined };
      return item;
    }),
  };
}

const withoutBytes = (result: ToolItem['result']) =>
  Array.isArray(result)
    ? result.map((b) => (b.type === 'image' ? { type: b.type, media_type: b.media_type } : b))
    : result;

function isSane(turn: TurnView, whole: boolean): void {
  const ids = turn.items.map((item) => item.id);
  expect(new Set(ids).size, 'ids are unique').toBe(ids.length);
  const isOver = !['queued', 'running'].includes(turn.state);
  turn.items.forEach((item, i) => {
    if (item.kind === 'notice') expect(i, 'a notice stands last').toBe(ids.length - 1);
    else if (item.kind !== 'tool') expect(item.open && isOver).toBe(false);
    else if (isOver) expect(['done', 'failed', 'asking', 'running']).toContain(item.state);
    if (item.kind === 'tool' && item.state === 'done') expect(item.result).toBeDefined();
  });
  if (whole) expect(isOver).toBe(true);
  if (turn.state === 'failed') expect(turn.error?.message).toBeTruthy();
  expect(turn.interrupts.length > 0).toBe(turn.state === 'interrupted');
}

describe.each(recorded.map((r) => [r.name, r] as const))('%s', (_, r) => {
  const whole = live(r, [r.frames]);

  test('ends sanely', () => isSane(whole.at(-1)!, true));

  test('is sane and resumes wherever it is cut, with events twice', () => {
    for (let cut = 0; cut < r.frames.length; cut++) {
      isSane(live(r, [r.frames.slice(0, cut)]).at(-1)!, false);
      const overlap = Math.max(0, cut - 3);
      const resumed = live(r, [r.frames.slice(0, cut), r.frames.slice(overlap)]);
      expect(resumed, `cut at ${cut}`).toEqual(whole);
    }
  });

  test('is the same in one piece and event by event', () => {
    expect(
      live(
        r,
        r.frames.map((f) => [f]),
      ),
    ).toEqual(whole);
  });

  test('comes to its end without its beginning', () => {
    for (let from = 1; from < r.frames.length; from++) {
      const turn = live(r, [r.frames.slice(from)]).at(-1)!;
      const ids = turn.items.map((item) => item.id);
      expect(new Set(ids).size).toBe(ids.length);
      expect(turn.state).toBe(whole.at(-1)!.state);
    }
  });

  test('is stored as it was told', () => {
    const { turns } = historyOf(r.page.messages, { ends: r.page.ends });
    const asked = whole.at(-1)!.state === 'interrupted';
    if (asked) {
      // Questions are read apart: without them the calls are given up.
      const told = structuredClone(whole);
      for (const turn of told) giveUpCalls(turn);
      for (const { view } of turns) giveUpCalls(view);
      expect(turns.map((t) => comparable(t.view))).toEqual(told.map(comparable));
      return;
    }
    for (const turn of whole) if (turn.state === 'interrupted') turn.state = 'done';
    expect(turns.map((t) => comparable(t.view))).toEqual(whole.map(comparable));
  });
});

test('the recordings have what this is about', () => {
  const types = new Set(recorded.flatMap((r) => r.frames.map((f) => f.event.type)));
  for (const type of ['RUN_ERROR', 'MESSAGES_SNAPSHOT', 'TOOL_CALL_RESULT', 'CUSTOM']) {
    expect(types).toContain(type);
  }
  const states = recorded.map((r) => live(r, [r.frames]).at(-1)!.state);
  for (const state of ['done', 'failed', 'cancelled', 'interrupted']) {
    expect(states).toContain(state);
  }
});
