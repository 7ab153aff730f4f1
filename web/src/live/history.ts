// Stored messages as turns, in the shapes that the events of the same turns have given.
import type { Block, StoredMessage } from '../api/types';
import { ask } from './agui';
import type { Item, TextItem, ToolItem, TurnView } from './model';
import { resultOf } from './result';

export interface StoredTurn {
  view: TurnView;
  lastSeq: number; // of its newest message here
}

const ms = (iso: string) => Date.parse(iso) || undefined;

class TurnBuilder {
  readonly view: TurnView;
  lastSeq = 0;
  #segments = new Map<string, number>();

  constructor(id: string) {
    this.view = { id, state: 'done', items: [], interrupts: [] };
  }

  #nameOf(id: string): string {
    const n = (this.#segments.get(id) ?? 0) + 1;
    this.#segments.set(id, n);
    return n === 1 ? id : `${id}#${n}`;
  }

  say(message: StoredMessage, calls: Map<string, ToolItem>): void {
    const { content } = message;
    const blocks: Block[] =
      typeof content === 'string' ? [{ type: 'text', text: content }] : (content ?? []);
    let text: TextItem | undefined; // pieces that touch each other are one
    for (const block of blocks) {
      if (block.type === 'text') {
        if (!block.text) continue;
        if (text) text.text += block.text;
        else this.#add((text = this.#words('text', message.id, block.text)));
      } else if (block.type === 'reasoning' && block.text) {
        text = undefined;
        this.#add(this.#words('reasoning', `${message.id}-r`, block.text));
      } else if (block.type === 'tool_call') {
        text = undefined;
        const item: ToolItem = {
          kind: 'tool',
          id: this.#nameOf(block.id),
          name: block.name,
          arguments: block.arguments || '{}',
          state: 'running',
          startedAt: ms(message.created_at),
        };
        this.#add(item);
        calls.set(block.id, item);
      }
    }
  }

  #words<K extends 'text' | 'reasoning'>(kind: K, id: string, text: string) {
    return { kind, id: this.#nameOf(id), text, open: false };
  }

  #add(item: Item): void {
    this.view.items.push(item);
  }
}

function settle(call: ToolItem, message: StoredMessage): void {
  call.result = resultOf(message.content);
  call.state = message.is_error ? 'failed' : 'done';
  call.endedAt = ms(message.created_at);
}

/**
 * Messages in order. The oldest turn may be a part of itself when there are earlier messages.
 * Results of calls that stand in none of these messages are given to `callElsewhere`.
 */
export function turnsOf(
  messages: StoredMessage[],
  callElsewhere?: (id: string) => ToolItem | undefined,
): StoredTurn[] {
  const turns = new Map<string, TurnBuilder>();
  const calls = new Map<string, ToolItem>();
  for (const message of messages) {
    const id = message.turn_id || message.id;
    const turn = turns.get(id) ?? new TurnBuilder(id);
    turns.set(id, turn);
    turn.lastSeq = message.seq;
    if (message.role === 'user') {
      turn.view.user = {
        id: message.id,
        content: message.content,
        createdAt: message.created_at,
      };
    } else if (message.role === 'assistant') {
      turn.say(message, calls);
    } else {
      const call = calls.get(message.tool_call_id ?? '');
      const other = call ?? callElsewhere?.(message.tool_call_id ?? '');
      if (other) settle(other, message);
    }
  }
  return [...turns.values()].map(({ view, lastSeq }) => ({ view, lastSeq }));
}

/** No answer will come for these calls any more: the conversation went on without them. */
export function giveUpCalls(turn: TurnView): void {
  turn.interrupts = [];
  ask(turn);
  for (const item of turn.items) {
    if (item.kind === 'tool' && item.result === undefined) item.state = 'failed';
  }
  if (turn.state === 'interrupted') turn.state = 'done';
}
