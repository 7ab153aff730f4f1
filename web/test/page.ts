// A page of the app in a test: fresh modules on a gateway of the test's own.
import 'fake-indexeddb/auto';
import { vi } from 'vitest';
import { FakeGateway, FakeSocket } from './gateway';

const { setImmediate } = globalThis as unknown as { setImmediate(work: () => void): void };

export async function settle(ms = 0): Promise<void> {
  // Requests, storage and paints take several turns of the loop.
  for (let i = 0; i < 6; i++) {
    await vi.advanceTimersByTimeAsync(i === 0 ? ms : 20);
    await new Promise<void>((resolve) => setImmediate(resolve));
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

export function world(): FakeGateway {
  const gateway = new FakeGateway();
  FakeSocket.gateway = gateway;
  const target = new EventTarget();
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'],
  });
  vi.stubGlobal('WebSocket', FakeSocket);
  vi.stubGlobal('fetch', gateway.fetch);
  vi.stubGlobal('location', { href: 'http://gateway/', reload: vi.fn() });
  vi.stubGlobal('navigator', { onLine: true });
  vi.stubGlobal('addEventListener', target.addEventListener.bind(target));
  vi.stubGlobal('removeEventListener', target.removeEventListener.bind(target));
  vi.stubGlobal('dispatchEvent', target.dispatchEvent.bind(target));
  return gateway;
}

/** The modules of one more tab. */
export async function openTab() {
  vi.resetModules();
  const { connection } = await import('../src/live/connection.svelte');
  const { session } = await import('../src/live/session.svelte');
  const { openConversation } = await import('../src/live/conversation.svelte');
  const { outbox } = await import('../src/live/outbox');
  const { closeStorage } = await import('../src/live/storage');
  await session.load();
  await settle();
  return {
    connection,
    session,
    outbox,
    openConversation,
    /** The tab is closed, or reloaded. */
    async close() {
      connection.stop();
      session.me = null; // its timers go on here, and must send nothing
      await closeStorage();
    },
  };
}

export async function leave(): Promise<void> {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  const { closeStorage } = await import('../src/live/storage');
  await closeStorage();
  indexedDB.deleteDatabase('adjutant');
}
