import { describe, expect, test } from 'vitest';
import { type AguiEvent, TurnReader } from '../src/live/agui';
import type { TurnView } from '../src/live/model';

const view = (id = 't1'): TurnView => ({ id, state: 'queued', items: [], interrupts: [] });

function read(events: AguiEvent[], turn = view()): TurnView {
  new TurnReader(turn).apply(events.map((event, i) => ({ seq: i + 1, event })));
  return turn;
}

describe('the reader', () => {
  test('joins the words of a message, and begins another piece after a call', () => {
    const turn = read([
      { type: 'RUN_STARTED', threadId: 'x', runId: 't1' },
      { type: 'TEXT_MESSAGE_START', messageId: 'm' },
      { type: 'TEXT_MESSAGE_CONTENT', messageId: 'm', delta: 'one ' },
      { type: 'TEXT_MESSAGE_CONTENT', messageId: 'm', delta: 'two' },
      { type: 'TEXT_MESSAGE_END', messageId: 'm' },
      { type: 'TOOL_CALL_START', toolCallId: 'c', toolCallName: 'look', timestamp: 1000 },
      { type: 'TOOL_CALL_END', toolCallId: 'c', timestamp: 2000 },
      { type: 'TEXT_MESSAGE_START', messageId: 'm' },
      { type: 'TEXT_MESSAGE_CONTENT', messageId: 'm', delta: 'three' },
      { type: 'TEXT_MESSAGE_END', messageId: 'm' },
      { type: 'TOOL_CALL_RESULT', toolCallId: 'c', messageId: 'r', content: 'x', timestamp: 3000 },
      { type: 'RUN_FINISHED', outcome: { type: 'success' } },
    ]);
    expect(turn.state).toBe('done');
    expect(turn.items).toEqual([
      { kind: 'text', id: 'm', text: 'one two', open: false },
      {
        kind: 'tool',
        id: 'c',
        name: 'look',
        arguments: '{}',
        state: 'done',
        result: 'x',
        startedAt: 2000,
        endedAt: 3000,
      },
      { kind: 'text', id: 'm#2', text: 'three', open: false },
    ]);
  });

  test('takes pieces that never began, and events it does not know', () => {
    const turn = read([
      { type: 'TEXT_MESSAGE_CONTENT', messageId: 'm', delta: 'late' },
      { type: 'WHAT_IS_THIS' },
      { type: 'TOOL_CALL_RESULT', toolCallId: 'nobody', content: 'x' },
      { type: 'RUN_FINISHED' },
    ]);
    expect(turn.items).toEqual([{ kind: 'text', id: 'm', text: 'late', open: false }]);
  });

  test('passes over what it has seen', () => {
    const turn = view();
    const reader = new TurnReader(turn);
    const delta = { type: 'TEXT_MESSAGE_CONTENT', messageId: 'm', delta: 'a' };
    reader.apply([
      { seq: 1, event: delta },
      { seq: 1, event: delta },
    ]);
    reader.apply([{ seq: 1, event: delta }]);
    expect(turn.items[0]).toMatchObject({ text: 'a' });
  });
});
