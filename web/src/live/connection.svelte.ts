// The one WebSocket of this page: keeps it open, notices when the line is dead, follows turns over
// it across reconnections, and passes on what changed elsewhere.
import { Problem } from '../api/client';
import { text } from '../text';
import type { AguiEvent } from './agui';
import { announce, type Change } from './changes';
import type { ConnectionState } from './model';

export interface Follower {
  onEvent(seq: number, event: AguiEvent): void;
  onEnd(): void; // the turn ended; nothing more comes
  onProblem(problem: Problem): void; // it can't be followed; nothing more comes
}

interface Follow {
  seq: number; // of the newest event it was told
  follower: Follower;
}

interface Waiting {
  resolve(frame: Frame): void;
  reject(problem: Problem): void;
  timer: ReturnType<typeof setTimeout>;
}

interface Frame {
  type: string;
  ref?: string;
  runId?: string;
  seq?: number;
  event?: AguiEvent;
  problem?: { status: number; code: string; title?: string; detail?: string };
  maxSubscriptions?: number;
  userId?: string;
  [member: string]: unknown;
}

/** Who asks for a connection. */
interface Owner {
  check(): Promise<boolean>; // whether there is a session: asked when the server turns us away
  isOf(userId: string): boolean; // whether it is theirs
}

const OPEN_MS = 10_000; // until hello
const QUIET_MS = 25_000; // then a ping
const PONG_MS = 8_000;
const WAKE_PONG_MS = 3_000; // after the page was asleep
const REQUEST_MS = 30_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
const STEADY_MS = 10_000; // a connection that lasted so long counts as one
const BLOCKED_AFTER = 2; // handshakes that failed while the server answers otherwise
const SIGNED_OUT = 1008;
const TRY_LATER = 1013;

function problemOf(body: Frame['problem']): Problem {
  const { status = 0, code = 'unknown', title, detail } = body ?? {};
  return new Problem(status, code, detail || title || text.problem.unknown(status));
}

class Connection {
  state = $state<ConnectionState>('connecting');
  retryIn = $state<number | null>(null); // seconds; null: not waiting
  reason = $state<string | null>(null); // why there is none, for a person
  maxSubscriptions = 32;

  #socket: WebSocket | null = null;
  #greeted = false;
  #wanted = false;
  #owner: Owner = { check: async () => true, isOf: () => true };
  #failures = 0; // handshakes in a row
  #pauseMs = FIRST_PAUSE_MS;
  #greetedAt = 0;
  #retryAt = 0;
  #ticker: ReturnType<typeof setInterval> | undefined;
  #quiet: ReturnType<typeof setTimeout> | undefined;
  #deadline: ReturnType<typeof setTimeout> | undefined;
  #follows = new Map<string, Set<Follow>>(); // by turn; one subscription each
  #waiting = new Map<string, Waiting>();
  #refs = 0;
  #online = new Set<() => void>();

  start(owner: Owner): void {
    this.#owner = owner;
    if (this.#wanted) return;
    this.#wanted = true;
    this.state = 'connecting';
    this.#listen(true);
    this.#open();
  }

  stop(): void {
    if (!this.#wanted) return;
    this.#wanted = false;
    this.#listen(false);
    this.#drop();
    this.#stopWaiting();
    this.#follows.clear();
    this.state = 'offline';
  }

  retryNow(): void {
    if (!this.#wanted || this.#socket) return;
    this.#pauseMs = FIRST_PAUSE_MS;
    this.#open();
  }

  /** Calls `listener` each time the connection was made. */
  onOnline(listener: () => void): () => void {
    this.#online.add(listener);
    return () => this.#online.delete(listener);
  }

  get following(): number {
    return this.#follows.size;
  }

  /**
   * Follows a turn from after `since`, until its end or until the returned function is called.
   * With `begun: false` the subscription comes with a chat or answer frame that the caller sends.
   */
  follow(runId: string, since: number, follower: Follower, begun = true): () => void {
    const follow: Follow = { seq: since, follower };
    if (!this.#follows.has(runId) && this.#follows.size >= this.maxSubscriptions) {
      queueMicrotask(() => follower.onProblem(new Problem(429, 'busy', text.live.busy)));
      return () => {};
    }
    const all = this.#follows.get(runId) ?? new Set();
    this.#follows.set(runId, all.add(follow));
    if (begun && this.state === 'online') this.#subscribe(runId);
    return () => {
      if (!all.delete(follow) || all.size || this.#follows.get(runId) !== all) return;
      this.#follows.delete(runId);
      if (this.state === 'online') this.#send({ type: 'unsubscribe', runId });
    };
  }

  /** The answer to a frame; a Problem when it is refused, or when none comes. */
  request(frame: { type: string } & Record<string, unknown>): Promise<Frame> {
    if (this.state !== 'online') {
      return Promise.reject(new Problem(0, 'offline', this.reason ?? text.problem.offline));
    }
    const ref = `r${++this.#refs}`;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(ref);
        reject(new Problem(0, 'timeout', text.problem.tooLong));
      }, REQUEST_MS);
      this.#waiting.set(ref, { resolve, reject, timer });
      this.#send({ ...frame, ref });
    });
  }

  // ---- the socket ----

  #open(): void {
    this.#stopWaiting();
    const address = new URL('/ws', location.href);
    address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
    let socket: WebSocket;
    try {
      socket = new WebSocket(address);
    } catch {
      return this.#lost(0);
    }
    this.#socket = socket;
    this.#greeted = false;
    socket.onmessage = (message) => this.#socket === socket && this.#heard(message.data);
    socket.onclose = (close) => this.#socket === socket && this.#lost(close.code);
    this.#deadline = setTimeout(() => this.#lost(0), OPEN_MS);
  }

  #send(frame: object): void {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(frame));
  }

  /** Closes what there is; whoever waits for an answer gets none. */
  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#quiet);
    clearTimeout(this.#deadline);
    if (socket) {
      socket.onmessage = socket.onclose = null;
      socket.close();
    }
    for (const waiting of this.#waiting.values()) {
      clearTimeout(waiting.timer);
      waiting.reject(new Problem(0, 'offline', text.live.lost));
    }
    this.#waiting.clear();
  }

  #lost(code: number): void {
    const greeted = this.#greeted;
    this.#drop();
    if (!this.#wanted) return;
    if (greeted) {
      this.#failures = 0;
      if (Date.now() - this.#greetedAt > STEADY_MS) this.#pauseMs = FIRST_PAUSE_MS;
    } else {
      this.#failures++;
    }
    // The first attempt after a loss is made at once and shown as such.
    this.state = greeted ? 'connecting' : 'offline';
    if (code === SIGNED_OUT || !greeted) void this.#ask();
    const random = 0.5 + Math.random() / 2;
    const pause = code === TRY_LATER ? Math.max(this.#pauseMs, 4_000) : this.#pauseMs;
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
    this.#wait(Math.round(pause * random));
  }

  /** Why is there no connection? Signed out, no network, or a proxy that lets no WebSocket through. */
  async #ask(): Promise<void> {
    let reason: string;
    try {
      if (!(await this.#owner.check())) return;
      reason = this.#failures >= BLOCKED_AFTER ? text.live.blocked : text.live.lost;
    } catch (error) {
      reason = error instanceof Problem ? error.message : text.problem.unreachable;
    }
    if (this.state !== 'online') this.reason = reason;
  }

  #wait(ms: number): void {
    this.#stopWaiting();
    this.#retryAt = Date.now() + ms;
    const tick = () => {
      const left = this.#retryAt - Date.now();
      if (left <= 0) this.#open();
      else this.retryIn = Math.ceil(left / 1000);
    };
    this.retryIn = Math.ceil(ms / 1000);
    this.#ticker = setInterval(tick, Math.min(ms, 1000));
  }

  #stopWaiting(): void {
    clearInterval(this.#ticker);
    this.#ticker = undefined;
    this.retryIn = null;
  }

  // ---- is anybody there? ----

  #expectSigns(): void {
    clearTimeout(this.#quiet);
    clearTimeout(this.#deadline);
    this.#quiet = setTimeout(() => this.#probe(PONG_MS), QUIET_MS);
  }

  #probe(withinMs: number): void {
    clearTimeout(this.#quiet);
    clearTimeout(this.#deadline);
    this.#send({ type: 'ping' });
    this.#deadline = setTimeout(() => this.#lost(0), withinMs);
  }

  /** The page is back, or the network is: what was true before may not be. */
  #wake = (): void => {
    if (typeof document !== 'undefined' && document.visibilityState === 'hidden') return;
    if (!this.#socket) this.retryNow();
    else if (this.#greeted) this.#probe(WAKE_PONG_MS);
  };

  /** The network is said to be gone: a socket that still seems open is asked at once. */
  #unplugged = (): void => {
    if (this.#socket && this.#greeted) this.#probe(WAKE_PONG_MS);
  };

  #listen(on: boolean): void {
    const change = on ? 'addEventListener' : 'removeEventListener';
    globalThis[change]?.('online', this.#wake);
    globalThis[change]?.('offline', this.#unplugged);
    globalThis[change]?.('pageshow', this.#wake);
    globalThis.document?.[change]('visibilitychange', this.#wake);
  }

  // ---- frames ----

  #heard(data: unknown): void {
    let frame: Frame;
    try {
      frame = JSON.parse(String(data));
    } catch {
      return;
    }
    if (this.#greeted) this.#expectSigns();
    switch (frame.type) {
      case 'agui':
        return this.#event(frame);
      case 'hello':
        return this.#hello(frame);
      case 'changed':
        return announce(frame as unknown as Change);
      case 'end':
        return this.#ended(frame.runId!, (f) => f.onEnd());
      case 'accepted':
      case 'ok':
        return this.#answer(frame);
      case 'error':
        if (frame.ref) return this.#answer(frame);
        if (frame.runId) this.#ended(frame.runId, (f) => f.onProblem(problemOf(frame.problem)));
    }
  }

  #hello(frame: Frame): void {
    // Nothing of this page may reach somebody else's session.
    if (frame.userId !== undefined && !this.#owner.isOf(frame.userId)) return this.stop();
    this.#greeted = true;
    this.#greetedAt = Date.now();
    this.#failures = 0;
    this.maxSubscriptions = frame.maxSubscriptions ?? 32;
    this.state = 'online';
    this.reason = null;
    this.#expectSigns();
    for (const runId of this.#follows.keys()) this.#subscribe(runId);
    // What changed before the answer was missed; a server that can't watch refuses.
    const all = () => announce({ what: 'all' });
    this.request({ type: 'watch' }).then(all, (problem: Problem) => problem.status && all());
    for (const listener of [...this.#online]) listener();
  }

  #event(frame: Frame): void {
    const { runId, seq, event } = frame;
    if (seq === undefined || !event) return;
    for (const follow of [...(this.#follows.get(runId!) ?? [])]) {
      if (seq <= follow.seq) continue;
      follow.seq = seq;
      follow.follower.onEvent(seq, event);
    }
  }

  #ended(runId: string, tell: (follower: Follower) => void): void {
    const all = this.#follows.get(runId) ?? [];
    this.#follows.delete(runId);
    for (const { follower } of all) tell(follower);
  }

  #answer(frame: Frame): void {
    const waiting = this.#waiting.get(frame.ref ?? '');
    if (!waiting) return;
    this.#waiting.delete(frame.ref!);
    clearTimeout(waiting.timer);
    if (frame.type === 'error') waiting.reject(problemOf(frame.problem));
    else waiting.resolve(frame);
  }

  /** Replaces an earlier subscription to the same turn. */
  #subscribe(runId: string): void {
    const all = this.#follows.get(runId)!;
    const since = Math.min(...[...all].map((follow) => follow.seq));
    this.request({ type: 'subscribe', runId, since }).catch((problem: Problem) => {
      if (this.#follows.get(runId) !== all || !problem.status) return;
      this.#ended(runId, (follower) => follower.onProblem(problem));
    });
  }
}

export const connection = new Connection();
