// A gateway that lives in the test: threads in memory, one WebSocket a page, as docs/api.md has it.
import type { StoredMessage, ThreadPage } from '../src/api/types';
import type { AguiEvent } from '../src/live/agui';

interface FakeTurn {
  id: string;
  threadId: string;
  state: string;
  events: { seq: number; event: AguiEvent }[];
}

type Frame = Record<string, unknown> & { type: string };

export class FakeSocket {
  static gateway: FakeGateway;
  readyState = 0;
  onmessage: ((message: { data: string }) => void) | null = null;
  onclose: ((close: { code: number }) => void) | null = null;
  sent: Frame[] = [];
  follows = new Set<string>();
  deaf = false; // takes frames and answers none: a dead line

  constructor(readonly url: URL | string) {
    FakeSocket.gateway.sockets.push(this);
    queueMicrotask(() => FakeSocket.gateway.connect(this));
  }

  send(data: string): void {
    const frame = JSON.parse(data) as Frame;
    this.sent.push(frame);
    if (!this.deaf)
      queueMicrotask(() => this.readyState === 1 && FakeSocket.gateway.hear(this, frame));
  }

  close(): void {
    this.readyState = 3;
    this.follows.clear();
  }

  /** From the gateway. */
  tell(frame: Frame): void {
    if (this.readyState === 1 && !this.deaf) this.onmessage?.({ data: JSON.stringify(frame) });
  }

  /** The line breaks, or the gateway closes it. */
  drop(code = 1006): void {
    this.close();
    this.onclose?.({ code });
  }
}

export class FakeGateway {
  sockets: FakeSocket[] = [];
  reachable = true;
  upgrades = true; // WebSockets get through
  signedIn = true;
  user = 'me'; // whose cookie the browser has
  unwilling = ''; // the path that fails
  losesReceipts = false; // takes messages, and the line breaks before it says so
  refusal: { status: number; code: string; detail: string } | null = null;
  submissions: string[] = []; // turn ids, however often they came
  requests: string[] = [];
  turns = new Map<string, FakeTurn>();
  messages = new Map<string, StoredMessage[]>();
  interrupts: { turn_id: string; interrupt: Record<string, unknown> }[] = [];

  get socket(): FakeSocket {
    return this.sockets.at(-1)!;
  }

  connect(socket: FakeSocket): void {
    if (!this.reachable || !this.upgrades || !this.signedIn) return socket.drop(1006);
    socket.readyState = 1;
    socket.tell({ type: 'hello', userId: this.user, maxSubscriptions: 32 });
  }

  hear(socket: FakeSocket, frame: Frame): void {
    const ref = frame.ref;
    const runId = frame.runId as string;
    switch (frame.type) {
      case 'ping':
        return socket.tell({ type: 'pong' });
      case 'chat': {
        if (this.refusal) return socket.tell({ type: 'error', ref, problem: this.refusal });
        const existed = this.#submit(runId, frame.threadId as string, frame.message as string);
        if (this.losesReceipts) return socket.drop();
        socket.tell({
          type: 'accepted',
          ref,
          threadId: frame.threadId,
          runId,
          existed,
          queued: false,
        });
        return this.#follow(socket, runId, 0);
      }
      case 'subscribe':
        if (!this.turns.has(runId)) {
          const problem = { status: 404, code: 'not_found', title: 'Not found' };
          return socket.tell({ type: 'error', ref, problem });
        }
        socket.tell({ type: 'ok', ref });
        return this.#follow(socket, runId, frame.since as number);
      case 'unsubscribe':
        socket.follows.delete(runId);
        return socket.tell({ type: 'ok', ref });
      default:
        return socket.tell({ type: 'ok', ref });
    }
  }

  #follow(socket: FakeSocket, runId: string, since: number): void {
    const turn = this.turns.get(runId)!;
    socket.follows.add(runId);
    for (const e of turn.events) if (e.seq > since) this.#send(socket, turn, e);
    if (turn.state !== 'running') this.#end(socket, runId);
  }

  #send(socket: FakeSocket, turn: FakeTurn, e: FakeTurn['events'][number]): void {
    socket.tell({ type: 'agui', threadId: turn.threadId, runId: turn.id, ...e });
  }

  #end(socket: FakeSocket, runId: string): void {
    socket.follows.delete(runId);
    socket.tell({ type: 'end', runId });
  }

  #submit(id: string, threadId: string, message: string): boolean {
    this.submissions.push(id);
    if (this.turns.has(id)) return true;
    this.turns.set(id, { id, threadId, state: 'running', events: [] });
    this.store(threadId, { role: 'user', turn_id: id, id: `${id}-u`, content: message });
    this.emit(id, { type: 'RUN_STARTED' });
    return false;
  }

  begin(threadId: string, id: string, message: string): void {
    this.#submit(id, threadId, message);
  }

  store(threadId: string, message: Partial<StoredMessage>): void {
    const list = this.messages.get(threadId) ?? [];
    this.messages.set(threadId, list);
    list.push({
      seq: list.length + 1,
      created_at: new Date(list.length * 1000).toISOString(),
      ...message,
    } as StoredMessage);
  }

  emit(id: string, event: AguiEvent): void {
    const turn = this.turns.get(id)!;
    const e = { seq: turn.events.length + 1, event };
    turn.events.push(e);
    for (const socket of this.sockets) if (socket.follows.has(id)) this.#send(socket, turn, e);
  }

  say(id: string, text: string): void {
    this.emit(id, { type: 'TEXT_MESSAGE_CONTENT', messageId: `${id}-a0.1`, delta: text });
  }

  /** Stores what was said and ends the turn. */
  finish(
    id: string,
    event: AguiEvent = { type: 'RUN_FINISHED', outcome: { type: 'success' } },
  ): void {
    const turn = this.turns.get(id)!;
    const content = turn.events.map((e) => (e.event.delta as string) ?? '').join('');
    if (content)
      this.store(turn.threadId, { role: 'assistant', turn_id: id, id: `${id}-a0.1`, content });
    this.emit(id, event);
    turn.state = event.type === 'RUN_ERROR' ? 'failed' : 'done';
    for (const socket of this.sockets) if (socket.follows.has(id)) this.#end(socket, id);
  }

  changed(change: Record<string, unknown>): void {
    for (const socket of this.sockets) socket.tell({ type: 'changed', ...change });
  }

  // ---- REST ----

  fetch = async (path: string, init: RequestInit = {}): Promise<Response> => {
    await Promise.resolve();
    if (!this.reachable) throw new TypeError('fetch failed');
    const url = new URL(path, 'http://gateway');
    const body = init.body ? JSON.parse(String(init.body)) : undefined;
    this.requests.push(`${init.method} ${url.pathname}`);
    if (!this.signedIn) return this.#problem(401, 'unauthorized', 'no session');
    if (url.pathname === this.unwilling) return this.#problem(500, 'internal', 'no');
    const thread = url.pathname.match(/^\/api\/threads\/([^/]+)$/)?.[1];
    if (url.pathname === '/api/chat') {
      if (this.refusal)
        return this.#problem(this.refusal.status, this.refusal.code, this.refusal.detail);
      const existed = this.#submit(body.turn_id, body.thread_id, body.message);
      if (this.losesReceipts) throw new TypeError('fetch failed');
      return Response.json(
        { thread_id: body.thread_id, turn_id: body.turn_id, queued: false, existed },
        { status: 202 },
      );
    }
    if (url.pathname === '/api/interrupts') return Response.json({ interrupts: this.interrupts });
    if (url.pathname.startsWith('/api/interrupts/')) {
      this.interrupts = this.interrupts.filter(
        (i) => !url.pathname.endsWith(String(i.interrupt.id)),
      );
      return Response.json(
        { open: this.interrupts.length, turn_id: body.turn_id },
        { status: 202 },
      );
    }
    if (thread) return this.#thread(thread, url.searchParams);
    if (url.pathname === '/api/models') return Response.json({ models: [], configured: true });
    return Response.json({ user_id: this.user, role: 'personal' });
  };

  #problem(status: number, code: string, detail: string): Response {
    return Response.json({ code, detail }, { status });
  }

  #thread(id: string, query: URLSearchParams): Response {
    const all = this.messages.get(id);
    if (!all) return this.#problem(404, 'not_found', 'no such thread');
    const before = Number(query.get('before') ?? Infinity);
    const earlier = all.filter((m) => m.seq < before);
    const messages = earlier.slice(-Number(query.get('limit')));
    const open = [...this.turns.values()].find((t) => t.threadId === id && t.state === 'running');
    const page: Partial<ThreadPage> = {
      id,
      title: 'A thread',
      open_turn: open ? { id: open.id, state: 'running' } : null,
      messages,
      has_more: messages.length < earlier.length,
      queued: [],
      ends: [],
    };
    return Response.json(page);
  }
}
