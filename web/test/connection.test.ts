import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { AguiEvent } from '../src/live/agui';
import type { FakeGateway } from './gateway';
import { leave, openTab, settle, world } from './page';

let gateway: FakeGateway;
let tab: Awaited<ReturnType<typeof openTab>>;

beforeEach(async () => {
  gateway = world();
  tab = await openTab();
});
afterEach(async () => {
  await tab.close();
  await leave();
});

function listener() {
  const heard: { seq: number; event: AguiEvent }[] = [];
  const ends: string[] = [];
  return {
    heard,
    ends,
    onEvent: (seq: number, event: AguiEvent) => void heard.push({ seq, event }),
    onEnd: () => void ends.push('end'),
    onProblem: () => void ends.push('problem'),
  };
}

describe('the connection', () => {
  test('says hello, watches, and is online', () => {
    expect(tab.connection.state).toBe('online');
    expect(gateway.socket.sent.map((f) => f.type)).toEqual(['watch']);
  });

  test('goes on after a break where it was, and passes over what comes twice', async () => {
    gateway.begin('t', 'run', 'hi');
    const f = listener();
    tab.connection.follow('run', 0, f);
    await settle();
    gateway.say('run', 'one');
    gateway.socket.drop();
    expect(tab.connection.state).toBe('connecting');
    gateway.say('run', 'two');
    await settle(1000);
    expect(tab.connection.state).toBe('online');
    expect(gateway.socket.sent).toContainEqual(
      expect.objectContaining({ type: 'subscribe', runId: 'run', since: 2 }),
    );
    gateway.socket.tell({ type: 'agui', runId: 'run', seq: 2, event: { type: 'X' } });
    gateway.finish('run');
    await settle();
    expect(f.heard.map((h) => h.seq)).toEqual([1, 2, 3, 4]);
    expect(f.ends).toEqual(['end']);
    expect(tab.connection.following).toBe(0);
  });

  test('tells all who follow a turn, each from where it began', async () => {
    gateway.begin('t', 'run', 'hi');
    gateway.say('run', 'one');
    const [one, two] = [listener(), listener()];
    const stop = tab.connection.follow('run', 0, one);
    await settle();
    tab.connection.follow('run', 1, two);
    await settle();
    expect(one.heard.map((h) => h.seq)).toEqual([1, 2]);
    expect(two.heard.map((h) => h.seq)).toEqual([2]);
    stop();
    gateway.finish('run');
    await settle();
    expect([one.heard.length, two.heard.length]).toEqual([2, 2]);
    expect([one.ends, two.ends]).toEqual([[], ['end']]);
  });

  test('notices a line that is dead', async () => {
    gateway.socket.deaf = true;
    await settle(25_000);
    expect(gateway.socket.sent.at(-1)).toMatchObject({ type: 'ping' });
    await settle(9_000);
    expect(gateway.sockets.length).toBe(2);
    expect(tab.connection.state).toBe('online');
  });

  test('keeps a quiet line that answers', async () => {
    await settle(120_000);
    expect(gateway.sockets.length).toBe(1);
  });

  test('looks at once when the page comes back', async () => {
    gateway.socket.deaf = true;
    dispatchEvent(new Event('pageshow'));
    await settle(4_000);
    expect(gateway.sockets.length).toBe(2);
  });

  test('waits longer and longer, and not at all when the network is back', async () => {
    gateway.reachable = false;
    gateway.socket.drop();
    await settle(120_000);
    const tried = gateway.sockets.length;
    expect(tried).toBeGreaterThan(5);
    expect(tried).toBeLessThan(16);
    expect(tab.connection.state).toBe('offline');
    expect(tab.connection.retryIn).toBeGreaterThan(0);
    expect(tab.connection.reason).toMatch(/does not answer/);
    gateway.reachable = true;
    dispatchEvent(new Event('online'));
    await settle();
    expect(tab.connection.state).toBe('online');
    expect(tab.connection.retryIn).toBe(null);
    expect(tab.connection.reason).toBe(null);
  });

  test('says that WebSockets are blocked', async () => {
    gateway.upgrades = false;
    gateway.socket.drop();
    await settle(5_000);
    expect(tab.connection.state).toBe('offline');
    expect(tab.connection.reason).toMatch(/WebSockets/);
  });

  test('stops when the session has ended', async () => {
    gateway.signedIn = false;
    gateway.socket.drop(1008);
    await settle(60_000);
    expect(tab.session.phase).toBe('signed-out');
    expect(gateway.sockets.length).toBeLessThan(3);
  });

  test('tells those who wait for an answer that none will come', async () => {
    const asked = tab.connection.request({ type: 'chat' });
    gateway.socket.drop();
    await expect(asked).rejects.toMatchObject({ status: 0 });
    await expect(tab.connection.request({ type: 'chat' })).rejects.toMatchObject({ status: 0 });
  });

  test('follows no more turns than the gateway allows', async () => {
    const many = Array.from({ length: 33 }, (_, i) => {
      gateway.begin('t', `r${i}`, 'x');
      const f = listener();
      tab.connection.follow(`r${i}`, 0, f);
      return f;
    });
    await settle();
    expect(many.slice(0, 32).every((f) => f.heard.length === 1)).toBe(true);
    expect(many[32]!.ends).toEqual(['problem']);
  });

  test("is none with somebody else's session", async () => {
    gateway.user = 'other';
    gateway.socket.drop();
    await settle(1_000);
    expect(location.reload).toHaveBeenCalled();
    expect(tab.connection.state).toBe('offline');
    const sockets = gateway.sockets.length;
    await settle(60_000);
    expect(gateway.sockets.length).toBe(sockets);
    expect(gateway.socket.sent).toEqual([]);
  });

  test('hears what changed, and looks at everything after a break', async () => {
    const { onChanged } = await import('../src/live/changes');
    const heard = vi.fn();
    const stop = onChanged('thread', heard);
    gateway.changed({ what: 'thread', threadId: 't' });
    gateway.changed({ what: 'turn', threadId: 't', runId: 'r', state: 'done' });
    expect(heard.mock.calls).toEqual([
      [expect.objectContaining({ what: 'thread', threadId: 't' })],
    ]);
    gateway.socket.drop();
    await settle(1000);
    expect(heard.mock.calls.at(-1)).toEqual([{ what: 'all' }]);
    stop();
  });
});

describe('signing out', () => {
  test('is not said to be done when it failed', async () => {
    gateway.unwilling = '/api/logout';
    await expect(tab.session.logout()).rejects.toThrow('no');
    expect(tab.session.phase).toBe('ready');
    gateway.unwilling = '';
    await tab.session.logout();
    expect(tab.session.phase).toBe('signed-out');
  });

  test('is done when there is no session any more', async () => {
    gateway.signedIn = false;
    await tab.session.logout();
    expect(tab.session.phase).toBe('signed-out');
  });
});
