// Messages on their way: kept until the gateway has them, over reloads and lost connections. The
// turn's id is the idempotency key: however often and by however many tabs one is sent, it counts
// once.
import { api, Problem } from '../api/client';
import type { Block } from '../api/types';
import { connection } from './connection.svelte';
import { session } from './session.svelte';
import { table } from './storage';

export interface Outgoing {
  turnId: string;
  threadId: string;
  userId: string;
  content: string | Block[];
  model?: string;
  createdAt: string; // ISO
  refused?: { code: string; message: string }; // not tried again by itself
}

export interface Receipt {
  thread_id: string;
  turn_id: string;
  queued: boolean;
  existed: boolean;
}

export type OutboxEvent =
  | { what: 'accepted'; entry: Outgoing; receipt: Receipt }
  | { what: 'refused'; entry: Outgoing }
  | { what: 'waiting'; entry: Outgoing }; // it could not be sent now

const RETRY_MS = 5_000;
const MOST_RETRY_MS = 60_000;
const LOCKED_S = 1;
const SEND_MS = 30_000;
const SLOWEST_BYTES_MS = 16; // what a bad line takes in a millisecond

/** About how many bytes it has on the wire. */
export const sizeOf = ({ content }: Outgoing): number =>
  typeof content === 'string'
    ? content.length
    : content.reduce((n, b) => n + (b.type === 'image' ? (b.data?.length ?? 0) : 1000), 0);

/** Whether the same message may be taken later. */
export const isPassing = (problem: unknown): boolean =>
  !(problem instanceof Problem) ||
  problem.status === 0 ||
  problem.status === 401 ||
  problem.status === 408 ||
  problem.status === 429 ||
  problem.status >= 500;

const oldestFirst = (a: Outgoing, b: Outgoing) =>
  a.createdAt < b.createdAt ? -1 : a.createdAt > b.createdAt ? 1 : a.turnId < b.turnId ? -1 : 1;

/** The members of a chat request that tell what is said. */
export const said = (entry: Pick<Outgoing, 'content' | 'model'>) => ({
  ...(typeof entry.content === 'string' ? { message: entry.content } : { content: entry.content }),
  ...(entry.model && { model: entry.model }),
});

// One tab at a time, where the browser can tell; two are harmless. False: another one is at it.
async function alone(work: () => Promise<void>): Promise<boolean> {
  const locks = globalThis.navigator?.locks;
  if (!locks) return work().then(() => true);
  return locks.request('adjutant-outbox', { ifAvailable: true }, async (lock) => {
    if (lock) await work();
    return lock !== null;
  });
}

class Outbox {
  #table = table<Outgoing>('outbox');
  #listeners = new Set<(event: OutboxEvent) => void>();
  #elsewhere = new Set<string>(); // being sent by somebody who asked to
  #timer: ReturnType<typeof setTimeout> | undefined;
  #retryMs = RETRY_MS;
  #flushing: Promise<void> | undefined;
  #again = false;

  constructor() {
    connection.onOnline(() => {
      this.#retryMs = RETRY_MS;
      void this.flush();
    });
  }

  on(listener: (event: OutboxEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Of the user who is here, oldest first; of one thread if it is named. */
  async list(threadId?: string): Promise<Outgoing[]> {
    const userId = session.me?.user_id;
    const all = await this.#table.all();
    return all
      .filter((e) => e.userId === userId && (threadId === undefined || e.threadId === threadId))
      .sort(oldestFirst);
  }

  put(entry: Outgoing): Promise<void> {
    return this.#table.put(entry.turnId, entry);
  }

  async remove(turnId: string): Promise<void> {
    await this.#table.delete(turnId);
  }

  /** `flush` leaves this entry alone while `work` sends it. */
  async sending<T>(turnId: string, work: () => Promise<T>): Promise<T> {
    this.#elsewhere.add(turnId);
    try {
      return await work();
    } finally {
      this.#elsewhere.delete(turnId);
    }
  }

  async refuse(entry: Outgoing, problem: unknown): Promise<Outgoing> {
    const refused: Outgoing = {
      ...entry,
      refused: {
        code: problem instanceof Problem ? problem.code : 'unknown',
        message: problem instanceof Error ? problem.message : String(problem),
      },
    };
    await this.put(refused);
    return refused;
  }

  /** Sends what waits, oldest first; comes back by itself while it can't be sent. */
  flush(): Promise<void> {
    this.#again = true;
    return (this.#flushing ??= this.#flush());
  }

  async #flush(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      try {
        // The other tab may not have seen what was written here just now.
        if (!(await alone(() => this.#sendAll()))) this.later(LOCKED_S);
      } catch {
        this.later();
      }
    }
    this.#flushing = undefined;
  }

  /** Tries again in a while, which grows as long as nothing is taken. */
  later(afterSeconds?: number): void {
    clearTimeout(this.#timer);
    const ms = afterSeconds === undefined ? this.#retryMs : afterSeconds * 1000;
    if (afterSeconds === undefined) this.#retryMs = Math.min(this.#retryMs * 2, MOST_RETRY_MS);
    this.#timer = setTimeout(() => void this.flush(), ms);
  }

  async #sendAll(): Promise<void> {
    const held = new Set<string>(); // threads whose next message must wait
    for (const entry of await this.list()) {
      if (entry.refused || held.has(entry.threadId)) continue;
      if (this.#elsewhere.has(entry.turnId)) {
        held.add(entry.threadId);
        continue;
      }
      try {
        if (!(await session.check())) return;
        // It may have been discarded, or sent by another tab, while those before it were sent.
        if (!(await this.#table.get(entry.turnId))) continue;
        await this.#send(entry);
        this.#retryMs = RETRY_MS;
      } catch (problem) {
        if (isPassing(problem)) {
          this.#tell({ what: 'waiting', entry });
          return this.later(problem instanceof Problem ? problem.retryAfterSeconds : undefined);
        }
        if (!(await this.#table.get(entry.turnId))) continue;
        this.#tell({ what: 'refused', entry: await this.refuse(entry, problem) });
      }
    }
  }

  async #send(entry: Outgoing): Promise<void> {
    const receipt = await api.post<Receipt>(
      '/api/chat',
      { thread_id: entry.threadId, turn_id: entry.turnId, wait: false, ...said(entry) },
      { timeoutMs: SEND_MS + Math.round(sizeOf(entry) / SLOWEST_BYTES_MS) },
    );
    await this.remove(entry.turnId);
    this.#tell({ what: 'accepted', entry, receipt });
  }

  #tell(event: OutboxEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}

export const outbox = new Outbox();
