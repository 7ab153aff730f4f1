// The reader of AG-UI events: applies a run's events to a TurnView. It takes streams as they come:
// events it doesn't know, pieces without a beginning or an end, a beginning twice, and a run taken
// over by another process, whose snapshot replaces what was not stored.
import type { Interrupt } from '../api/types';
import type { Item, NoticeItem, ReasoningItem, TextItem, ToolItem, TurnView } from './model';
import { resultOf } from './result';

export interface AguiEvent {
  type: string;
  timestamp?: number;
  metadata?: Record<string, unknown>;
  [member: string]: unknown;
}

export interface AguiFrame {
  seq: number;
  event: AguiEvent;
}

export interface ReaderOptions {
  /** A call of an earlier turn, which this one goes on with. */
  callElsewhere?: (id: string) => ToolItem | undefined;
  onTitle?: (title: string) => void;
}

interface SnapshotMessage {
  id: string;
  role: string;
  content?: string;
  toolCallId?: string;
  toolCalls?: { id: string; function: { name: string; arguments: string } }[];
}

const str = (value: unknown) => (typeof value === 'string' ? value : '');

export class TurnReader {
  seq = 0; // of the newest event applied
  ended = false;
  #started = false;
  #open = new Map<string, TextItem | ReasoningItem>(); // by kind and message
  #segments = new Map<string, number>(); // how many items a message, or a call's id, has so far
  #since = new Map<string, number>(); // when an open item of reasoning began
  #calls = new Map<string, ToolItem>(); // the newest of each id
  #notices = 0;

  constructor(
    readonly turn: TurnView,
    readonly options: ReaderOptions = {},
  ) {}

  /** Events that were seen before are passed over. */
  apply(frames: AguiFrame[]): void {
    for (let i = 0; i < frames.length; i++) {
      const { seq, event } = frames[i]!;
      if (seq <= this.seq) continue;
      this.seq = seq;
      if (event.type === 'TEXT_MESSAGE_CONTENT') {
        // One change of what is shown for all that came at once.
        let delta = str(event.delta);
        for (let next; (next = frames[i + 1]) && next.seq > this.seq; i++) {
          if (next.event.type !== event.type || next.event.messageId !== event.messageId) break;
          delta += str(next.event.delta);
          this.seq = next.seq;
        }
        this.#words('text', str(event.messageId)).text += delta;
      } else {
        this.#one(event);
      }
    }
  }

  #one(event: AguiEvent): void {
    const id = str(event.messageId);
    const time = typeof event.timestamp === 'number' ? event.timestamp : undefined;
    switch (event.type) {
      case 'RUN_STARTED':
        return this.#start();
      case 'MESSAGES_SNAPSHOT':
        return this.#snapshot(Array.isArray(event.messages) ? event.messages : []);
      case 'TEXT_MESSAGE_START':
        return void this.#words('text', id);
      case 'TEXT_MESSAGE_END':
        return this.#close('text', id);
      case 'REASONING_MESSAGE_START':
        return void this.#words('reasoning', id, time);
      case 'REASONING_MESSAGE_CONTENT':
        this.#words('reasoning', id, time).text += str(event.delta);
        return;
      case 'REASONING_MESSAGE_END':
      case 'REASONING_END':
        return this.#close('reasoning', id, time);
      case 'TOOL_CALL_START':
        return this.#call(str(event.toolCallId), str(event.toolCallName), time);
      case 'TOOL_CALL_ARGS':
        return this.#arguments(str(event.toolCallId), str(event.delta));
      case 'TOOL_CALL_END':
        return this.#called(this.#calls.get(str(event.toolCallId)), time);
      case 'TOOL_CALL_RESULT':
        return this.#result(str(event.toolCallId), event.content, event.metadata, time);
      case 'CUSTOM':
        return this.#custom(str(event.name), (event.value ?? {}) as Record<string, unknown>);
      case 'RUN_FINISHED':
        return this.#finish(event);
      case 'RUN_ERROR':
        this.turn.error = { code: str(event.code), message: str(event.message) };
        return this.#end('failed');
    }
  }

  #start(): void {
    const { turn } = this;
    this.#closeAll();
    if (!this.#started) turn.items = [];
    this.#started = true;
    this.ended = false;
    turn.state = 'running';
    turn.interrupts = [];
    delete turn.error;
  }

  /** The item at the end is a notice only as long as nothing comes after it. */
  #add<T extends Item>(item: T): T {
    const { items } = this.turn;
    this.#dropNotice();
    items.push(item);
    return items[items.length - 1] as T;
  }

  #dropNotice(): void {
    const { items } = this.turn;
    if (items[items.length - 1]?.kind === 'notice') items.pop();
  }

  #nameOf(id: string): string {
    const n = (this.#segments.get(id) ?? 0) + 1;
    this.#segments.set(id, n);
    return n === 1 ? id : `${id}#${n}`;
  }

  // Words of one message may come in several pieces, with a call or reasoning between them.
  #words(kind: 'text' | 'reasoning', id: string, time?: number): TextItem | ReasoningItem {
    const key = kind + id;
    const known = this.#open.get(key);
    if (known) return known;
    const item = this.#add<TextItem | ReasoningItem>({
      kind,
      id: this.#nameOf(id),
      text: '',
      open: true,
    });
    this.#open.set(key, item);
    if (kind === 'reasoning' && time !== undefined) this.#since.set(key, time);
    return item;
  }

  #close(kind: 'text' | 'reasoning', id: string, time?: number): void {
    const key = kind + id;
    const item = this.#open.get(key);
    if (!item) return;
    item.open = false;
    this.#open.delete(key);
    const since = this.#since.get(key);
    if (item.kind === 'reasoning' && since !== undefined && time !== undefined) {
      item.seconds = Math.max(0, Math.round((time - since) / 1000));
    }
    this.#since.delete(key);
  }

  #closeAll(): void {
    for (const item of this.#open.values()) item.open = false;
    this.#open.clear();
    this.#since.clear();
    this.#dropNotice();
  }

  #call(id: string, name: string, time?: number): void {
    const known = this.#calls.get(id);
    if (known?.state === 'writing') return;
    const item: ToolItem = {
      kind: 'tool',
      id: this.#nameOf(id),
      name,
      arguments: '',
      state: 'writing',
    };
    if (time !== undefined) item.startedAt = time;
    this.#calls.set(id, this.#add(item));
  }

  #arguments(id: string, delta: string): void {
    const call = this.#calls.get(id);
    if (call?.state === 'writing') call.arguments += delta;
  }

  #called(call: ToolItem | undefined, time?: number): void {
    if (call?.state !== 'writing') return;
    call.state = 'running';
    call.arguments ||= '{}';
    if (time !== undefined) call.startedAt = time;
  }

  #find(id: string): ToolItem | undefined {
    return this.#calls.get(id) ?? this.options.callElsewhere?.(id);
  }

  #result(id: string, content: unknown, about?: Record<string, unknown>, time?: number): void {
    const call = this.#find(id);
    if (!call) return;
    this.#dropNotice();
    this.#called(call, time);
    call.result = resultOf(content, about?.blocks === true);
    call.state = about?.isError === true ? 'failed' : 'done';
    if (time !== undefined) call.endedAt = time;
    delete call.progress;
    delete call.interrupt;
  }

  #custom(name: string, value: Record<string, unknown>): void {
    if (name === 'thread_title') this.options.onTitle?.(str(value.title));
    else if (name === 'tool_progress') this.#progress(value);
    else if (name === 'model_silent' || name === 'model_retry') this.#notice(name, value);
  }

  #progress(value: Record<string, unknown>): void {
    const call = this.#find(str(value.toolCallId));
    if (!call || call.state === 'done' || call.state === 'failed') return;
    call.progress = {
      progress: Number(value.progress) || 0,
      ...(typeof value.total === 'number' && { total: value.total }),
      ...(typeof value.message === 'string' && { message: value.message }),
    };
  }

  #notice(what: NoticeItem['what'], value: Record<string, unknown>): void {
    this.#add<NoticeItem>({
      kind: 'notice',
      id: `notice-${++this.#notices}`,
      what,
      ...(typeof value.seconds === 'number' && { seconds: value.seconds }),
      ...(typeof value.attempt === 'number' && { attempt: value.attempt }),
      ...(typeof value.reason === 'string' && { reason: value.reason }),
    });
  }

  // A snapshot has the whole thread, without reasoning. The messages of a turn have names that begin
  // with the turn's. What is shown of messages that are stored stays; what isn't stored is said anew.
  #snapshot(messages: SnapshotMessage[]): void {
    const { turn } = this;
    const own = messages.filter((m) => m.id.startsWith(`${turn.id}-`));
    const said = own.filter((m) => m.role === 'assistant');
    const callers = new Map(said.flatMap((m) => (m.toolCalls ?? []).map((c) => [c.id, m.id])));
    const messageOf = (item: Item) =>
      item.kind === 'tool'
        ? callers.get(item.id.replace(/#\d+$/, ''))
        : said.find((m) => isPieceOf(item.id, m.id))?.id;
    this.#closeAll();
    const first = turn.items.findIndex((item) => messageOf(item) !== undefined);
    const cut = first >= 0 && messages[0] !== undefined && messages[0] === own[0] ? first : 0;
    const kept = turn.items.filter((item, i) => i < cut || messageOf(item) !== undefined);
    const known = new Set(kept.map(messageOf));
    if (kept.length !== turn.items.length) turn.items = kept;
    this.#calls.clear();
    for (const item of turn.items) if (item.kind === 'tool') this.#note(item);
    for (const message of said) if (!known.has(message.id)) this.#stored(message);
    for (const m of messages) {
      const call = m.role === 'tool' ? this.#calls.get(str(m.toolCallId)) : undefined;
      if (call && call.result === undefined) this.#result(str(m.toolCallId), m.content);
    }
  }

  #note(item: ToolItem): void {
    this.#calls.set(item.id.replace(/#\d+$/, ''), item);
  }

  #stored(message: SnapshotMessage): void {
    if (message.content) {
      this.#words('text', message.id).text = message.content;
      this.#close('text', message.id);
    }
    for (const call of message.toolCalls ?? []) {
      this.#call(call.id, call.function.name);
      this.#arguments(call.id, call.function.arguments);
      this.#called(this.#calls.get(call.id));
    }
  }

  #finish(event: AguiEvent): void {
    const outcome = (event.outcome ?? {}) as { type?: string; interrupts?: Interrupt[] };
    const usage = (Array.isArray(event.usage) ? event.usage[0] : undefined) as
      { provider?: string; model?: string } | undefined;
    if (usage?.model) this.turn.model = `${usage.provider}:${usage.model}`;
    if (outcome.type === 'interrupt') {
      this.turn.interrupts = outcome.interrupts ?? [];
      ask(this.turn);
      return this.#end('interrupted');
    }
    this.#end(outcome.type === 'cancelled' ? 'cancelled' : 'done');
  }

  #end(state: 'done' | 'failed' | 'cancelled' | 'interrupted'): void {
    const { turn } = this;
    this.#closeAll();
    this.ended = true;
    turn.state = state;
    if (state === 'interrupted') return;
    // Calls that have no result were never made, and are not stored.
    const made = turn.items.filter((item) => item.kind !== 'tool' || item.result !== undefined);
    if (made.length !== turn.items.length) turn.items = made;
  }
}

/** Items of a message are named after it: `m`, `m#2`, its reasoning `m-r`. */
const isPieceOf = (item: string, message: string) =>
  item.startsWith(message) && /^$|^[#-]/.test(item.slice(message.length));

/** Shows the turn's open questions at the calls they are about. */
export function ask(turn: TurnView): void {
  for (const item of turn.items) {
    if (item.kind !== 'tool' || item.result !== undefined) continue;
    const interrupt = turn.interrupts.find((i) => i.toolCallId === item.id.replace(/#\d+$/, ''));
    if (interrupt) {
      item.state = 'asking';
      item.interrupt = interrupt;
    } else {
      if (item.state === 'asking') item.state = 'running';
      delete item.interrupt;
    }
  }
}
