// One thread on the screen: what is stored, what runs now, what is on its way.
import { api, Problem, segment } from '../api/client';
import type { Answer, Interrupt, ThreadPage } from '../api/types';
import { text } from '../text';
import { ask, type AguiFrame, TurnReader } from './agui';
import { coalesced, onChanged } from './changes';
import { connection } from './connection.svelte';
import { contentOf } from './drafts';
import { giveUpCalls, historyOf, queuedTurns, type StoredTurn } from './history';
import { newId } from './ids';
import type { Conversation, Draft, ToolItem, TurnView } from './model';
import { isPassing, outbox, type OutboxEvent, type Outgoing, said, sizeOf } from './outbox';
import { beforePaint } from './paint';
import { session } from './session.svelte';

const PAGE = 50;
const LOOK_MS = 300;
const FOLLOWED_AT_ONCE = 24; // of the socket's subscriptions
const LARGE_BYTES = 200_000;

type Options = { model?: string };

interface Live {
  reader: TurnReader;
  frames: AguiFrame[]; // that came since the last paint
  stop: () => void;
}

const isOpen = (turn: TurnView) =>
  turn.state === 'queued' || turn.state === 'running' || turn.state === 'sending';
const isHere = (turn: TurnView) =>
  turn.state === 'sending' || turn.state === 'unsent' || turn.refused === true;

class OpenConversation implements Conversation {
  threadId = $state<string | null>(null);
  title = $state<string | null>(null);
  phase = $state<Conversation['phase']>('loading');
  problem = $state<string | null>(null);
  turns = $state<TurnView[]>([]);
  hasEarlier = $state(false);
  readonly busy = $derived(this.turns.some(isOpen));

  #live = new Map<string, Live>();
  #whole = new Set<string>(); // turns seen to their end: they need not be read
  #lastSeq = new Map<string, number>(); // of stored turns, as they were read
  #oldest: ThreadPage['messages'] = []; // of the oldest turn here, which may begin earlier
  #orphans: ThreadPage['messages'] = []; // results of calls that stand in earlier messages
  #unpainted: (() => void) | undefined;
  #closed = false;
  #look = coalesced(() => this.#lookAgain(), LOOK_MS);
  #releases: (() => void)[] = [];
  #sending = new Set<Promise<void>>();
  #loadingEarlier: Promise<void> | undefined;
  #mustAsk = false; // what is open to be answered is not known

  constructor(threadId: string | null) {
    this.threadId = threadId;
    this.#releases = [
      onChanged('thread', (c) => this.#concerns(c) && this.#look.schedule()),
      onChanged('turn', (c) => {
        if (this.#concerns(c) && !(c.what === 'turn' && this.#live.has(c.runId))) {
          this.#look.schedule();
        }
      }),
      onChanged(
        'interrupt',
        (c) => c.what !== 'all' && this.#concerns(c) && void this.#newlyAsked(),
      ),
      outbox.on((event) => this.#outboxTold(event)),
    ];
    if (threadId === null) this.phase = 'ready';
    else void this.reload();
  }

  #concerns(change: { what: string; threadId?: string }): boolean {
    const here = this.threadId !== null && this.phase !== 'loading' && !this.#closed;
    return here && (change.what === 'all' || change.threadId === this.threadId);
  }

  close(): void {
    this.#closed = true;
    for (const release of this.#releases) release();
    for (const live of this.#live.values()) live.stop();
    this.#live.clear();
    this.#look.cancel();
    this.#unpainted?.();
  }

  // ---- what is stored ----

  #read(query: { limit: number; before?: number }): Promise<ThreadPage> {
    return api.get<ThreadPage>(`/api/threads/${segment(this.threadId!)}`, {
      query: { ...query, images: 'link' },
    });
  }

  async reload(): Promise<void> {
    const waiting = await outbox.list(this.threadId ?? '');
    try {
      const page = await this.#read({ limit: PAGE });
      if (this.#closed) return;
      this.#take(page);
      this.#showWaiting(waiting);
      this.phase = 'ready';
      this.problem = null;
      await this.#asked();
    } catch (error) {
      if (this.#closed) return;
      this.#showWaiting(waiting);
      if (this.turns.length) this.phase = 'ready';
      else if (error instanceof Problem && error.status === 404) this.#missing();
      else {
        this.phase = 'failed';
        this.problem = error instanceof Error ? error.message : text.app.unexpected;
      }
    }
  }

  #missing(): void {
    this.phase = 'missing';
    this.problem = text.live.notFound;
  }

  /** Whether there is more than what is shown: asks for little when there is not. */
  async #lookAgain(): Promise<void> {
    if (this.#closed || this.threadId === null) return;
    try {
      const { messages, open_turn, title } = await this.#read({ limit: 1 });
      if (this.#closed) return;
      this.title = title;
      const newest = messages.at(-1);
      const known = newest ? this.#isKnown(newest.turn_id, newest.seq) : !this.turns.length;
      const followed = !open_turn || this.#live.has(open_turn.id);
      const lost = this.turns.some((t) => this.#isLost(t));
      if (known && followed && !lost && !this.#mustAsk) return;
      const page = await this.#read({ limit: PAGE });
      if (this.#closed) return;
      this.#take(page);
      this.phase = 'ready';
      await this.#asked();
    } catch (error) {
      if (this.#closed) return;
      const gone = error instanceof Problem && error.status === 404;
      if (gone && !this.turns.some(isHere)) this.#missing();
    }
  }

  #isKnown(turnId: string, seq: number): boolean {
    return this.#live.has(turnId) || this.#whole.has(turnId) || this.#lastSeq.get(turnId) === seq;
  }

  /** Shown as open, and nobody tells how it goes on. */
  #isLost(turn: TurnView): boolean {
    return (turn.state === 'running' || turn.state === 'queued') && !this.#live.has(turn.id);
  }

  #take(page: ThreadPage): void {
    this.title = page.title;
    const callElsewhere = (id: string) => this.#call(id);
    const { turns: stored, orphans } = historyOf(page.messages, { ends: page.ends, callElsewhere });
    const overlaps = stored.some(({ view }) => this.#turn(view.id));
    if (!overlaps) {
      // Nothing here, or too much was missed: begin anew, but for what is on its way.
      this.turns = this.turns.filter(isHere);
      this.#whole.clear();
      this.#lastSeq.clear();
    }
    if (!overlaps || !this.#oldest.length) this.#began(page, stored, orphans);
    const begun = new Set(stored.map(({ view }) => view.id));
    const waiting = queuedTurns(page.queued.filter((m) => !begun.has(m.turn_id)));
    const all = [...stored, ...waiting];
    const running = page.open_turn;
    if (running && !all.some(({ view }) => view.id === running.id)) {
      // It goes on with answers, and has said nothing yet.
      const view: TurnView = { id: running.id, state: running.state, items: [], interrupts: [] };
      all.splice(stored.length, 0, { view, lastSeq: 0 });
    }
    let at = 0;
    for (const turn of all) at = this.#place(turn, at, page) + 1;
    // What waited and is nowhere any more was cancelled before it began.
    const there = new Set(all.map(({ view }) => view.id));
    for (const turn of this.turns) {
      if (turn.state === 'queued' && !there.has(turn.id) && !this.#live.has(turn.id)) {
        turn.state = 'cancelled';
      }
    }
    for (const id of [page.open_turn?.id ?? '', ...waiting.map(({ view }) => view.id)]) {
      const open = this.#turn(id);
      if (open && connection.following < FOLLOWED_AT_ONCE) this.#follow(open);
    }
    this.#settleCalls();
  }

  /** Keeps what is needed to join an earlier page to this one. */
  #began(page: ThreadPage, stored: StoredTurn[], orphans: ThreadPage['messages']): void {
    this.hasEarlier = page.has_more;
    const id = stored[0]?.view.id;
    this.#oldest = page.messages.filter((m) => (m.turn_id || m.id) === id);
    this.#orphans = orphans;
  }

  /** Shows a turn as it is stored, unless more is known of it; its place. */
  #place({ view, lastSeq }: StoredTurn, at: number, page: ThreadPage): number {
    const index = this.turns.findIndex((t) => t.id === view.id);
    const isRunning = page.open_turn?.id === view.id;
    if (isRunning) {
      // Its events tell all of it.
      view.state = page.open_turn!.state;
      view.items = [];
    }
    if (index < 0) {
      this.turns.splice(at, 0, view);
      this.#lastSeq.set(view.id, lastSeq);
      return at;
    }
    const shown = this.turns[index]!;
    const arrived = isHere(shown);
    if (arrived) void outbox.remove(view.id);
    if (this.#live.has(view.id) || this.#whole.has(view.id)) {
      if (view.user) shown.user = view.user;
    } else if (arrived || isOpen(shown) || this.#lastSeq.get(view.id) !== lastSeq) {
      this.turns[index] = view;
      this.#lastSeq.set(view.id, lastSeq);
    }
    return index;
  }

  /** Calls without a result that nobody makes any more. */
  #settleCalls(): void {
    const stored = this.turns.filter((t) => !isHere(t));
    stored.forEach((turn, i) => {
      if (turn.state === 'interrupted' && !turn.items.some(isUnanswered)) answered(turn);
      const next = stored[i + 1];
      if (!next || isOpen(turn) || !turn.items.some(isUnanswered)) return;
      // A turn without words of the user goes on with the calls before it.
      if (next.user ? next.state !== 'queued' : !isOpen(next)) giveUpCalls(turn);
    });
  }

  loadEarlier(): Promise<void> {
    this.#loadingEarlier ??= this.#earlier().finally(() => (this.#loadingEarlier = undefined));
    return this.#loadingEarlier;
  }

  async #earlier(): Promise<void> {
    const before = this.#oldest[0]?.seq;
    if (!this.hasEarlier || before === undefined) return;
    const page = await this.#read({ limit: PAGE, before });
    if (this.#closed || this.#oldest[0]?.seq !== before) return;
    const joined = { ...page, messages: [...page.messages, ...this.#oldest] };
    const { turns: stored, orphans } = historyOf(joined.messages, {
      ends: page.ends,
      laterResults: this.#orphans.filter((m) => !this.#oldest.includes(m)),
      callElsewhere: (id) => this.#call(id),
    });
    const first = this.turns[0];
    const last = stored.at(-1);
    const isSame = first !== undefined && last?.view.id === first.id;
    const isFresher = isSame && (this.#live.has(first.id) || this.#whole.has(first.id));
    if (isSame && !isFresher) Object.assign(last!.view, kept(first));
    for (const { view, lastSeq } of stored) {
      if (!this.#lastSeq.has(view.id)) this.#lastSeq.set(view.id, lastSeq);
    }
    const earlier = stored.map(({ view }) => view).slice(0, isFresher ? -1 : undefined);
    this.turns = [...earlier, ...this.turns.slice(isSame && !isFresher ? 1 : 0)];
    if (isSame && !isFresher) ask(this.turns[earlier.length - 1]!);
    this.#began(joined, stored, orphans);
    this.#settleCalls();
  }

  /** What is open to be answered, at the newest turn. */
  async #asked(): Promise<void> {
    const turns = this.turns.filter((t) => !isOpen(t) && t.items.some(isUnanswered));
    this.#mustAsk = turns.length > 0;
    if (!turns.length) return;
    const { interrupts } = await api.get<{
      interrupts: { turn_id: string; state: string; interrupt: Interrupt }[];
    }>('/api/interrupts', { query: { thread_id: this.threadId! } });
    this.#mustAsk = false;
    if (this.#closed) return;
    for (const turn of turns) {
      if (isOpen(turn)) continue;
      turn.interrupts = interrupts.filter((i) => i.turn_id === turn.id).map((i) => i.interrupt);
      if (turn.interrupts.length) {
        turn.state = 'interrupted';
        ask(turn);
      } else if (this.turns.some(isOpen)) {
        answered(turn);
      } else {
        giveUpCalls(turn);
      }
    }
  }

  async #newlyAsked(): Promise<void> {
    try {
      await this.#asked();
    } catch {
      // It is asked again with the next look.
    }
  }

  // ---- what runs ----

  #turn(id: string): TurnView | undefined {
    return this.turns.findLast((t) => t.id === id);
  }

  #call(id: string): ToolItem | undefined {
    for (let i = this.turns.length - 1; i >= 0; i--) {
      for (const item of this.turns[i]!.items) {
        if (item.kind === 'tool' && item.id.replace(/#\d+$/, '') === id && isUnanswered(item)) {
          return item;
        }
      }
    }
    return undefined;
  }

  /** With `begun: false` it begins with a frame that the caller sends. */
  #follow(turn: TurnView, begun = true): void {
    if (this.#live.has(turn.id) || this.#closed) return;
    const reader = new TurnReader(turn, {
      callElsewhere: (id) => this.#call(id),
      onTitle: (title) => (this.title = title),
    });
    const live: Live = { reader, frames: [], stop: () => {} };
    this.#live.set(turn.id, live);
    live.stop = connection.follow(
      turn.id,
      0,
      {
        onEvent: (seq, event) => {
          live.frames.push({ seq, event });
          this.#unpainted ??= beforePaint(() => this.#paint());
        },
        onEnd: () => this.#ended(turn.id),
        onProblem: () => this.#ended(turn.id),
      },
      begun,
    );
  }

  #paint(): void {
    this.#unpainted = undefined;
    for (const live of this.#live.values()) {
      if (!live.frames.length) continue;
      const began = live.reader.seq === 0;
      live.reader.apply(live.frames);
      live.frames = [];
      if (began) this.#goesOn(live.reader.turn);
    }
  }

  /** The conversation goes on with this turn: questions before it are answered, or never will be. */
  #goesOn(turn: TurnView): void {
    const at = this.turns.findIndex((t) => t.id === turn.id);
    for (const earlier of this.turns.slice(0, Math.max(at, 0))) {
      if (!earlier.interrupts.length) continue;
      if (turn.user) giveUpCalls(earlier);
      else answered(earlier);
    }
  }

  #ended(turnId: string): void {
    const live = this.#live.get(turnId);
    if (!live) return;
    this.#paint();
    this.#live.delete(turnId);
    // A stream that was cut, or events that are gone: what is stored tells the rest.
    if (live.reader.ended) this.#whole.add(turnId);
    if (!live.reader.ended || this.turns.some((t) => this.#isLost(t))) this.#look.schedule();
  }

  // ---- what is on its way ----

  async send(draft: Draft, options: Options = {}): Promise<void> {
    this.threadId ??= newId();
    if (this.phase !== 'ready') this.phase = 'ready';
    const entry: Outgoing = {
      turnId: newId(),
      threadId: this.threadId,
      userId: session.userId,
      content: contentOf(draft),
      model: options.model,
      createdAt: new Date().toISOString(),
    };
    const turn = this.#show(entry, 'sending');
    const sent = outbox.sending(entry.turnId, async () => {
      const earlier = await outbox.list(entry.threadId);
      await outbox.put(entry);
      await this.#deliver(
        entry,
        turn,
        earlier.some((e) => !e.refused),
      );
    });
    this.#sending.add(sent);
    try {
      await sent;
    } finally {
      this.#sending.delete(sent);
    }
  }

  #show(entry: Outgoing, state: TurnView['state']): TurnView {
    const view: TurnView = {
      id: entry.turnId,
      state,
      user: { id: `${entry.turnId}-u`, content: entry.content, createdAt: entry.createdAt },
      items: [],
      interrupts: [],
    };
    if (entry.model) view.model = entry.model;
    if (entry.refused) Object.assign(view, { refused: true, error: entry.refused });
    this.turns.push(view);
    return this.turns.at(-1)!;
  }

  #showWaiting(waiting: Outgoing[]): void {
    for (const entry of waiting) {
      if (this.#turn(entry.turnId)) continue;
      this.#show(entry, entry.refused ? 'failed' : 'unsent');
    }
    if (waiting.some((e) => !e.refused)) void outbox.flush();
  }

  async #deliver(entry: Outgoing, turn: TurnView, mustWait: boolean): Promise<void> {
    const online = connection.state === 'online';
    // A large frame would hold up all others, and the signs of life.
    const isLarge = sizeOf(entry) > LARGE_BYTES;
    if (mustWait || !online || isLarge || connection.following >= FOLLOWED_AT_ONCE) {
      turn.state = online && isLarge ? 'sending' : 'unsent';
      outbox.later(0);
      return;
    }
    this.#follow(turn, false);
    try {
      const accepted = await connection.request({
        type: 'chat',
        threadId: entry.threadId,
        runId: entry.turnId,
        ...said(entry),
      });
      await outbox.remove(entry.turnId);
      if (turn.state === 'sending') turn.state = accepted.queued ? 'queued' : 'running';
    } catch (problem) {
      await this.#undelivered(entry, turn, problem);
    }
  }

  async #undelivered(entry: Outgoing, turn: TurnView, problem: unknown): Promise<void> {
    if (turn.state !== 'sending') return void outbox.remove(entry.turnId); // its events came
    this.#live.get(turn.id)?.stop();
    this.#live.delete(turn.id);
    if (isPassing(problem)) {
      turn.state = 'unsent';
      outbox.later(problem instanceof Problem ? problem.retryAfterSeconds : undefined);
    } else {
      this.#refused(turn, await outbox.refuse(entry, problem));
    }
  }

  #refused(turn: TurnView, entry: Outgoing): void {
    turn.state = 'failed';
    turn.refused = true;
    turn.error = entry.refused;
  }

  #outboxTold(event: OutboxEvent): void {
    if (event.entry.threadId !== this.threadId) return;
    const turn = this.#turn(event.entry.turnId);
    if (!turn || !isHere(turn)) return;
    if (event.what === 'refused') return this.#refused(turn, event.entry);
    if (event.what === 'waiting') {
      turn.state = 'unsent';
      return;
    }
    turn.state = event.receipt.queued ? 'queued' : 'running';
    this.#follow(turn);
  }

  async retry(turn: TurnView): Promise<void> {
    const entry = (await outbox.list(this.threadId ?? '')).find((e) => e.turnId === turn.id);
    if (!entry || !isHere(turn)) return;
    const { refused: _, ...again } = entry;
    await outbox.put(again);
    turn.state = 'unsent';
    delete turn.refused;
    delete turn.error;
    await outbox.flush();
  }

  discard(turn: TurnView): void {
    if (!isHere(turn)) return;
    void outbox.remove(turn.id);
    this.turns = this.turns.filter((t) => t.id !== turn.id);
  }

  // ---- what else a person does ----

  #fork(body: Record<string, unknown>, options: Options): Promise<string> {
    return api
      .post<{ thread_id: string }>('/api/chat', {
        thread_id: this.threadId,
        turn_id: newId(),
        wait: false,
        ...(options.model && { model: options.model }),
        ...body,
      })
      .then((receipt) => receipt.thread_id);
  }

  edit(turn: TurnView, draft: Draft, options: Options = {}): Promise<string> {
    return this.#fork({ edit_of: turn.user!.id, ...said({ content: contentOf(draft) }) }, options);
  }

  regenerate(turn: TurnView, options: Options = {}): Promise<string> {
    return this.#fork({ regenerate: turn.id }, options);
  }

  async stop(): Promise<void> {
    if (this.threadId === null) return;
    await Promise.allSettled([...this.#sending]);
    await api.post(`/api/threads/${segment(this.threadId)}/cancel`);
    // What waited for its turn leaves no trace in the thread.
    for (const turn of this.turns.filter((t) => t.state === 'queued')) {
      this.#live.get(turn.id)?.stop();
      this.#live.delete(turn.id);
      this.turns = this.turns.filter((t) => t.id !== turn.id);
    }
  }

  async answer(interrupt: Interrupt, answer: Answer): Promise<void> {
    const asking = this.turns.findLast((t) => t.interrupts.some((i) => i.id === interrupt.id));
    let next: { open: number; turn_id: string };
    try {
      next = await api.post(`/api/interrupts/${segment(interrupt.id)}`, {
        ...answer,
        turn_id: newId(),
      });
    } catch (problem) {
      if (problem instanceof Problem && problem.status === 409) await this.#asked();
      throw problem;
    }
    if (asking) {
      asking.interrupts = asking.interrupts.filter((i) => i.id !== interrupt.id);
      ask(asking);
    }
    if (next.open === 0 && !this.#turn(next.turn_id)) {
      this.turns.push({ id: next.turn_id, state: 'running', items: [], interrupts: [] });
      if (asking) asking.state = 'done';
      this.#follow(this.turns.at(-1)!);
    }
  }
}

/** All that the turn asked was answered; another one goes on with it. */
function answered(turn: TurnView): void {
  turn.interrupts = [];
  if (turn.state === 'interrupted') turn.state = 'done';
  ask(turn);
}

/** What more than its messages is known of a turn. */
const kept = (turn: TurnView): Partial<TurnView> => ({
  state: turn.state,
  interrupts: turn.interrupts,
  ...(turn.error && { error: turn.error }),
  ...(turn.model && { model: turn.model }),
});

const isUnanswered = (item: TurnView['items'][number]) =>
  item.kind === 'tool' && item.result === undefined && item.state !== 'failed';

/** A conversation to show; `null`: a new one. Whoever opens it closes it. */
export function openConversation(threadId: string | null): Conversation {
  return new OpenConversation(threadId);
}
