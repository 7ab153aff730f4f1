import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Conversation } from '../src/live/model';
import type { FakeGateway } from './gateway';
import { leave, openTab, settle, world } from './page';

let gateway: FakeGateway;
let tabs: Awaited<ReturnType<typeof openTab>>[] = [];
let open: Conversation[] = [];

async function newTab() {
  const tab = await openTab();
  tabs.push(tab);
  return tab;
}

async function show(tab: Awaited<ReturnType<typeof openTab>>, threadId: string | null) {
  const conversation = tab.openConversation(threadId);
  open.push(conversation);
  await settle();
  return conversation;
}

beforeEach(() => {
  gateway = world();
});
afterEach(async () => {
  for (const conversation of open) conversation.close();
  for (const tab of tabs) await tab.close();
  open = [];
  tabs = [];
  await leave();
});

const draft = (text: string) => ({ text, images: [] });
const words = (c: Conversation) =>
  c.turns.map((t) => [
    t.user?.content,
    t.state,
    t.items.map((i) => (i.kind === 'text' ? i.text : i.kind)).join('|'),
  ]);

async function send(c: Conversation, text: string) {
  const sent = c.send(draft(text));
  await settle();
  await sent;
}

describe('sending', () => {
  test('shows the message at once, then the answer', async () => {
    const tab = await newTab();
    const c = await show(tab, null);
    const sent = c.send(draft('hi'));
    expect(words(c)).toEqual([['hi', 'sending', '']]);
    expect(c.busy).toBe(true);
    await settle();
    await sent;
    expect(words(c)).toEqual([['hi', 'running', '']]);
    gateway.say(c.turns[0]!.id, 'Hel');
    gateway.say(c.turns[0]!.id, 'lo');
    gateway.finish(c.turns[0]!.id);
    await settle(300);
    expect(words(c)).toEqual([['hi', 'done', 'Hello']]);
    expect(c.busy).toBe(false);
    expect(await tab.outbox.list()).toEqual([]);
    expect(tab.connection.following).toBe(0);
  });

  test('counts once when the receipt is lost', async () => {
    const tab = await newTab();
    const c = await show(tab, null);
    gateway.losesReceipts = true;
    await send(c, 'hi');
    expect(c.turns[0]!.state).toBe('unsent');
    gateway.losesReceipts = false;
    await settle(2_000);
    expect(c.turns[0]!.state).toBe('running');
    const id = c.turns[0]!.id;
    gateway.say(id, 'yes');
    gateway.finish(id);
    await settle(500);
    expect(gateway.submissions.every((s) => s === id)).toBe(true);
    expect(gateway.submissions.length).toBeGreaterThan(1);
    expect(words(c)).toEqual([['hi', 'done', 'yes']]);
    expect(await tab.outbox.list()).toEqual([]);
  });

  test('keeps what is typed offline over a reload, and sends it once, in order', async () => {
    const tab = await newTab();
    const c = await show(tab, null);
    gateway.reachable = false;
    gateway.socket.drop();
    await settle();
    await send(c, 'one');
    await send(c, 'two');
    expect(c.turns.map((t) => t.state)).toEqual(['unsent', 'unsent']);
    const threadId = c.threadId!;
    c.close();
    await tab.close();

    gateway.reachable = true;
    gateway.upgrades = false; // so that it is still unsent when it is shown
    const later = await newTab();
    gateway.reachable = false;
    const again = await show(later, threadId);
    expect(again.turns.map((t) => [t.user?.content, t.state])).toEqual([
      ['one', 'unsent'],
      ['two', 'unsent'],
    ]);
    gateway.reachable = gateway.upgrades = true;
    later.connection.retryNow();
    await settle(10_000);
    expect(gateway.messages.get(threadId)!.map((m) => m.content)).toEqual(['one', 'two']);
    expect(gateway.submissions.length).toBe(2);
    expect(again.turns.map((t) => t.state)).toEqual(['running', 'running']);
    expect(await later.outbox.list()).toEqual([]);
  });

  test('is harmless from two tabs at once', async () => {
    const one = await newTab();
    const c = await show(one, null);
    gateway.reachable = false;
    for (const socket of gateway.sockets) socket.drop();
    await settle();
    await send(c, 'once');
    gateway.reachable = true;
    const two = await newTab();
    await Promise.all([one.outbox.flush(), two.outbox.flush(), settle(5_000)]);
    expect(gateway.turns.size).toBe(1);
    expect(await two.outbox.list()).toEqual([]);
  });

  test('shows what is refused, and sends it again when asked to', async () => {
    const tab = await newTab();
    const c = await show(tab, null);
    gateway.refusal = { status: 400, code: 'invalid', detail: 'too long' };
    await send(c, 'hi');
    expect(c.turns[0]).toMatchObject({
      state: 'failed',
      refused: true,
      error: { code: 'invalid', message: 'too long' },
    });
    await settle(60_000);
    expect(gateway.submissions.length).toBe(0);
    gateway.refusal = null;
    const retried = c.retry(c.turns[0]!);
    await settle();
    await retried;
    expect(c.turns[0]!.state).toBe('running');
    expect(c.turns[0]!.error).toBeUndefined();
  });

  test('waits when the gateway is busy', async () => {
    const tab = await newTab();
    const c = await show(tab, null);
    gateway.refusal = { status: 429, code: 'busy', detail: 'too many turns' };
    await send(c, 'hi');
    expect(c.turns[0]!.state).toBe('unsent');
    gateway.refusal = null;
    await settle(30_000);
    expect(c.turns[0]!.state).toBe('running');
    expect(gateway.turns.size).toBe(1);
  });

  test('sends large messages beside the socket', async () => {
    const tab = await newTab();
    const c = await show(tab, null);
    const image = { id: 'i', mediaType: 'image/png' as const, data: 'A'.repeat(300_000) };
    await c.send({ text: 'look', images: [image] });
    await settle();
    expect(gateway.socket.sent.some((f) => f.type === 'chat')).toBe(false);
    expect(gateway.requests).toContain('POST /api/chat');
    expect(c.turns[0]!.state).toBe('running');
  });

  test('what was cancelled before it began does not wait for ever', async () => {
    const tab = await newTab();
    gateway.begin('t', 'first', 'hi');
    gateway.finish('first');
    const c = await show(tab, 't');
    await send(c, 'later');
    const id = c.turns[1]!.id;
    c.turns[1]!.state = 'queued';
    gateway.messages.get('t')!.pop();
    gateway.turns.get(id)!.state = 'cancelled';
    for (const socket of gateway.sockets) socket.tell({ type: 'end', runId: id });
    await settle(1_000);
    expect(c.busy).toBe(false);
  });

  test('forgets what is discarded', async () => {
    const tab = await newTab();
    const c = await show(tab, null);
    gateway.reachable = false;
    gateway.socket.drop();
    await settle();
    await send(c, 'never mind');
    c.discard(c.turns[0]!);
    gateway.reachable = true;
    tab.connection.retryNow();
    await settle(10_000);
    expect(c.turns).toEqual([]);
    expect(gateway.turns.size).toBe(0);
  });

  test('forgets what is discarded while what was written before it is being sent', async () => {
    const tab = await newTab();
    const one = await show(tab, null);
    const two = await show(tab, null);
    gateway.reachable = false;
    gateway.socket.drop();
    await settle();
    await send(one, 'first');
    await send(two, 'never mind');
    const { fetch } = gateway;
    let go = () => {};
    const gate = new Promise<void>((resolve) => (go = resolve));
    vi.stubGlobal('fetch', async (path: string, init?: RequestInit) => {
      if (path === '/api/chat') await gate;
      return fetch(path, init);
    });
    gateway.reachable = true;
    tab.connection.retryNow();
    await settle(1_000);
    two.discard(two.turns[0]!);
    await settle();
    go();
    await settle(10_000);
    expect([...gateway.messages.values()].flat().map((m) => m.content)).toEqual(['first']);
  });

  test('never happens in the name of another user', async () => {
    const tab = await newTab();
    const c = await show(tab, null);
    gateway.reachable = false;
    gateway.socket.drop();
    await settle();
    await send(c, 'mine');
    gateway.reachable = true;
    gateway.user = 'other'; // signed in by another tab
    const flushed = tab.outbox.flush();
    await settle();
    await flushed;
    expect(location.reload).toHaveBeenCalled();
    tab.connection.retryNow();
    await settle(10_000);
    const theirs = await newTab();
    await settle(10_000);
    expect(await theirs.outbox.list()).toEqual([]);
    expect(gateway.submissions).toEqual([]);
    gateway.user = 'me';
    await newTab();
    await settle(10_000);
    expect(gateway.submissions.length).toBe(1);
  });
});

describe('staying in step', () => {
  test('follows what began elsewhere, and reads what ended there', async () => {
    gateway.begin('t', 'first', 'hi');
    gateway.finish('first');
    const c = await show(await newTab(), 't');
    expect(words(c)).toEqual([['hi', 'done', '']]);
    gateway.begin('t', 'second', 'and?');
    gateway.say('second', 'so');
    gateway.changed({ what: 'turn', threadId: 't', runId: 'second', state: 'running' });
    await settle(500);
    expect(words(c).at(-1)).toEqual(['and?', 'running', 'so']);
    gateway.say('second', ' it is');
    gateway.finish('second');
    await settle(500);
    expect(words(c).at(-1)).toEqual(['and?', 'done', 'so it is']);
    gateway.begin('t', 'third', 'again');
    gateway.say('third', 'told');
    gateway.finish('third');
    gateway.changed({ what: 'thread', threadId: 't' });
    await settle(500);
    expect(words(c).at(-1)).toEqual(['again', 'done', 'told']);
    expect(c.turns.length).toBe(3);
  });

  test('asks for little when it knows all', async () => {
    gateway.begin('t', 'first', 'hi');
    gateway.finish('first');
    await show(await newTab(), 't');
    const before = gateway.requests.length;
    for (let i = 0; i < 20; i++) gateway.changed({ what: 'thread', threadId: 't' });
    gateway.changed({ what: 'thread', threadId: 'other' });
    await settle(1_000);
    expect(gateway.requests.length - before).toBe(1);
  });

  test('opens a turn that runs, and goes on with it over a break', async () => {
    gateway.begin('t', 'run', 'hi');
    gateway.say('run', 'one ');
    const c = await show(await newTab(), 't');
    expect(words(c)).toEqual([['hi', 'running', 'one ']]);
    gateway.socket.drop();
    gateway.say('run', 'two ');
    await settle(1_500);
    gateway.say('run', 'three');
    gateway.finish('run');
    await settle(500);
    expect(words(c)).toEqual([['hi', 'done', 'one two three']]);
  });

  test('reads what is stored when the events are gone', async () => {
    gateway.begin('t', 'run', 'hi');
    gateway.say('run', 'half');
    const c = await show(await newTab(), 't');
    gateway.reachable = false;
    gateway.socket.drop();
    gateway.say('run', ' and half');
    gateway.finish('run');
    gateway.turns.get('run')!.events = [];
    gateway.reachable = true;
    await settle(60_000);
    expect(words(c)).toEqual([['hi', 'done', 'half and half']]);
  });

  test('a thread that is deleted is missing', async () => {
    gateway.begin('t', 'run', 'hi');
    gateway.finish('run');
    const c = await show(await newTab(), 't');
    gateway.messages.delete('t');
    gateway.changed({ what: 'thread', threadId: 't' });
    await settle(1_000);
    expect(c.phase).toBe('missing');
  });
});

describe('long threads', () => {
  test('are read page by page, and turns are whole in the end', async () => {
    for (let i = 0; i < 40; i++) {
      const turn_id = `turn${i}`;
      gateway.store('t', { role: 'user', turn_id, id: `${turn_id}-u`, content: `q${i}` });
      const call = { type: 'tool_call' as const, id: `c${i}`, name: 'look', arguments: '{}' };
      gateway.store('t', { role: 'assistant', turn_id, id: `${turn_id}-a`, content: [call] });
      gateway.store('t', {
        role: 'tool',
        turn_id,
        id: `${turn_id}-t`,
        tool_call_id: `c${i}`,
        content: 'seen',
        is_error: false,
      });
      gateway.store('t', { role: 'assistant', turn_id, id: `${turn_id}-b`, content: `a${i}` });
    }
    const c = await show(await newTab(), 't');
    expect(c.hasEarlier).toBe(true);
    for (let i = 0; c.hasEarlier && i < 9; i++) {
      const loading = c.loadEarlier();
      await settle();
      await loading;
    }
    expect(words(c)).toEqual(Array.from({ length: 40 }, (_, i) => [`q${i}`, 'done', `tool|a${i}`]));
    for (const turn of c.turns)
      expect(turn.items[0]).toMatchObject({ state: 'done', result: 'seen' });
  });
});

describe('questions', () => {
  const interrupt = { id: 'i1', reason: 'tool_call' as const, toolCallId: 'c1' };

  async function asked() {
    gateway.begin('t', 'run', 'tidy up');
    gateway.emit('run', { type: 'TOOL_CALL_START', toolCallId: 'c1', toolCallName: 'erase' });
    gateway.emit('run', { type: 'TOOL_CALL_END', toolCallId: 'c1' });
    const c = await show(await newTab(), 't');
    const call = { type: 'tool_call' as const, id: 'c1', name: 'erase', arguments: '{}' };
    gateway.store('t', { role: 'assistant', turn_id: 'run', id: 'run-a0.1', content: [call] });
    gateway.interrupts = [{ turn_id: 'run', interrupt }];
    gateway.finish('run', {
      type: 'RUN_FINISHED',
      outcome: { type: 'interrupt', interrupts: [interrupt] },
    });
    await settle(500);
    return c;
  }

  test('stand at their calls, live and after a reload', async () => {
    const c = await asked();
    const again = await show(tabs[0]!, 't');
    for (const conversation of [c, again]) {
      expect(conversation.turns[0]).toMatchObject({
        state: 'interrupted',
        interrupts: [interrupt],
      });
      expect(conversation.turns[0]!.items[0]).toMatchObject({ state: 'asking', interrupt });
      expect(conversation.busy).toBe(false);
    }
  });

  test('that could not be read are read with the next look', async () => {
    await asked();
    gateway.unwilling = '/api/interrupts';
    const c = await show(tabs[0]!, 't');
    expect(c.turns[0]!.interrupts).toEqual([]);
    gateway.unwilling = '';
    gateway.socket.drop();
    await settle(2_000);
    expect(c.turns[0]).toMatchObject({ state: 'interrupted', interrupts: [interrupt] });
  });

  test('are answered, and the turn goes on', async () => {
    const c = await asked();
    const answered = c.answer(interrupt, { approved: true });
    await settle();
    await answered;
    expect(c.turns[0]).toMatchObject({ state: 'done', interrupts: [] });
    expect(c.turns[0]!.items[0]).toMatchObject({ state: 'running' });
    expect(c.turns[1]).toMatchObject({ state: 'running' });
  });

  test('answered elsewhere are not asked any more', async () => {
    const c = await asked();
    gateway.interrupts = [];
    gateway.begin('t', 'more', '');
    gateway.messages.get('t')!.pop(); // it goes on without words
    gateway.emit('more', { type: 'TOOL_CALL_RESULT', toolCallId: 'c1', content: 'gone' });
    gateway.store('t', {
      role: 'tool',
      turn_id: 'more',
      id: 'more-t',
      tool_call_id: 'c1',
      content: 'gone',
    });
    gateway.changed({ what: 'turn', threadId: 't', runId: 'more', state: 'running' });
    await settle(500);
    expect(c.turns[0]).toMatchObject({ state: 'done', interrupts: [] });
    expect(c.turns[0]!.items[0]).toMatchObject({ state: 'done', result: 'gone' });
  });
});

test('a conversation that is closed leaves nothing behind', async () => {
  gateway.begin('t', 'run', 'hi');
  const tab = await newTab();
  for (let i = 0; i < 50; i++) {
    const c = tab.openConversation('t');
    await settle();
    c.close();
  }
  await settle();
  expect(tab.connection.following).toBe(0);
  expect(gateway.socket.follows.size).toBe(0);
});
