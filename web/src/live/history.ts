// Stored messages as turns, in the shapes that the events of the same turns have given.
import type { Block, StoredMessage, ThreadPage } from '../api/types';
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

export interface HistoryOptions {
  ends?: ThreadPage['ends'];
  /** Results that stand in later messages than these. */
  laterResults?: StoredMessage[];
  /** A call that stands in other messages than these. */
  callElsewhere?: (id: string) => ToolItem | undefined;
}

export interface History {
  turns: StoredTurn[];
  orphans: StoredMessage[]; // results of calls that were not found
}

/**
 * Messages in order. The oldest turn may be a part of itself when there are earlier messages.
 */
export function historyOf(messages: StoredMessage[], options: HistoryOptions = {}): History {
  const turns = new Map<string, TurnBuilder>();
  const calls = new Map<string, ToolItem>();
  const orphans: StoredMessage[] = [];
  const result = (message: StoredMessage) => {
    const id = message.tool_call_id ?? '';
    const call = calls.get(id) ?? options.callElsewhere?.(id);
    if (call) settle(call, message);
    else orphans.push(message);
  };
  for (const message of messages) {
    const id = message.turn_id || message.id;
    const turn = turns.get(id) ?? new TurnBuilder(id);
    turns.set(id, turn);
    turn.lastSeq = message.seq;
    if (message.role === 'user') turn.view.user = userMessage(message);
    else if (message.role === 'assistant') turn.say(message, calls);
    else result(message);
  }
  for (const message of options.laterResults ?? []) result(message);
  for (const { id, state, error } of options.ends ?? []) {
    const view = turns.get(id)?.view;
    if (!view) continue;
    view.state = state;
    if (error) view.error = error;
  }
  return { turns: [...turns.values()].map(({ view, lastSeq }) => ({ view, lastSeq })), orphans };
}

const userMessage = (m: Pick<StoredMessage, 'id' | 'content' | 'created_at'>) => ({
  id: m.id,
  content: m.content,
  createdAt: m.created_at,
});

/** What waits for a turn before it. */
export function queuedTurns(queued: ThreadPage['queued']): StoredTurn[] {
  return queued.map((message) => ({
    view: {
      id: message.turn_id,
      state: 'queued',
      user: userMessage(message),
      items: [],
      interrupts: [],
    },
    lastSeq: 0,
  }));
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
