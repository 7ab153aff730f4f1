// A conversation as it is shown. Stored messages and the events of a running turn become the same
// shapes, so that nothing moves when a turn ends and its stored form takes over.
import type { Answer, Block, Interrupt, TurnState } from '../api/types';

/** What a person wrote and did not send yet, or sent again. */
export interface Draft {
  text: string;
  images: ImageDraft[];
}

export interface ImageDraft {
  id: string;
  mediaType: 'image/png' | 'image/jpeg' | 'image/gif' | 'image/webp';
  data: string; // base64
  name?: string;
}

export interface UserMessage {
  id: string; // what `editOf` takes; until the server knows it, the turn's id
  content: string | Block[];
  createdAt: string; // ISO
}

export interface TextItem {
  kind: 'text';
  id: string;
  text: string; // markdown
  open: boolean; // more may come
}

export interface ReasoningItem {
  kind: 'reasoning';
  id: string;
  text: string;
  open: boolean;
  seconds?: number;
}

export interface ToolItem {
  kind: 'tool';
  id: string; // of the call
  name: string;
  arguments: string; // JSON text as the model wrote it; partial while `state` is 'writing'
  state: 'writing' | 'running' | 'asking' | 'done' | 'failed';
  result?: string | Block[];
  progress?: { progress: number; total?: number; message?: string };
  startedAt?: number; // ms
  endedAt?: number;
  interrupt?: Interrupt; // while `state` is 'asking'
}

/** A line about the work itself: the model is slow, is tried again. Goes with the next item. */
export interface NoticeItem {
  kind: 'notice';
  id: string;
  what: 'model_silent' | 'model_retry';
  seconds?: number;
  attempt?: number;
  reason?: string;
}

export type Item = TextItem | ReasoningItem | ToolItem | NoticeItem;

export interface TurnView {
  id: string; // of the turn; chosen here when it is sent
  state: 'sending' | 'unsent' | TurnState; // 'unsent': waits for the connection
  user?: UserMessage; // none: it goes on with answers of the turn before
  items: Item[];
  interrupts: Interrupt[]; // all open questions; those about a call stand at its item, too
  error?: { code: string; message: string };
  refused?: boolean; // failed, as the gateway did not take the message: `retry` sends it again
  model?: string;
}

/** One thread on the screen; what it holds is reactive ($state). Made by `openConversation`. */
export interface Conversation {
  readonly threadId: string | null; // null: nothing was sent yet
  readonly title: string | null;
  readonly phase: 'loading' | 'ready' | 'missing' | 'failed';
  readonly problem: string | null; // why it failed, for a person
  readonly turns: TurnView[]; // oldest first; a part of the thread when hasEarlier
  readonly hasEarlier: boolean;
  readonly busy: boolean; // a turn runs, waits or is being sent
  loadEarlier(): Promise<void>;
  reload(): Promise<void>;
  /** Never loses the draft: what can't be sent now is kept and sent on return, once. */
  send(draft: Draft, options?: { model?: string }): Promise<void>;
  /** Forks the thread; the fork's id. */
  edit(turn: TurnView, draft: Draft, options?: { model?: string }): Promise<string>;
  regenerate(turn: TurnView, options?: { model?: string }): Promise<string>;
  /** Also what is queued: its turns are gone then. */
  stop(): Promise<void>;
  /** Sends again what was refused or waits for the connection; in this thread, once. */
  retry(turn: TurnView): Promise<void>;
  /** Drops what waits to be sent. */
  discard(turn: TurnView): void;
  answer(interrupt: Interrupt, answer: Answer): Promise<void>;
  close(): void;
}

export type ConnectionState = 'connecting' | 'online' | 'offline';
