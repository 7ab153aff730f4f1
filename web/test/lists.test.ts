import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Thread } from '../src/api/types';
import type { FakeGateway } from './gateway';
import { leave, openTab, settle, world } from './page';

const thread = (n: number, more: Partial<Thread> = {}) =>
  ({
    id: `t${n}`,
    title: `Thread ${n}`,
    updated_at: new Date(n * 1000).toISOString(),
    archived_at: null,
    ...more,
  }) as Thread;

let all: Thread[];
let fails = false;
let searches: URLSearchParams[];
let found: { complete: boolean; hits: { message_id: string }[]; next_cursor?: string }[];

async function answer(path: string, init: RequestInit = {}): Promise<Response> {
  const url = new URL(path, 'http://gateway');
  if (fails) return Response.json({ code: 'internal', detail: 'no' }, { status: 500 });
  const id = url.pathname.match(/^\/api\/threads\/(.+)$/)?.[1];
  if (id && init.method === 'PATCH') {
    const changes = JSON.parse(String(init.body));
    all = all.map((t) =>
      t.id === id
        ? {
            ...t,
            ...('title' in changes && { title: changes.title }),
            ...('archived' in changes && { archived_at: changes.archived ? 'now' : null }),
          }
        : t,
    );
    return Response.json({});
  }
  if (id) {
    all = all.filter((t) => t.id !== id);
    return new Response(null, { status: 204 });
  }
  if (url.pathname === '/api/search') {
    searches.push(url.searchParams);
    return Response.json(found.length > 1 ? found.shift() : found[0]);
  }
  const archived = url.searchParams.get('archived') === '1';
  const before = Number(url.searchParams.get('cursor') ?? Infinity);
  const some = all
    .filter((t) => (t.archived_at !== null) === archived && Date.parse(t.updated_at) < before)
    .sort((a, b) => (a.updated_at < b.updated_at ? 1 : -1));
  const threads = some.slice(0, Number(url.searchParams.get('limit')));
  return Response.json({
    threads,
    ...(some.length > threads.length && {
      next_cursor: String(Date.parse(threads.at(-1)!.updated_at)),
    }),
  });
}

let gateway: FakeGateway;

beforeEach(() => {
  gateway = world();
  vi.resetModules();
  vi.stubGlobal('fetch', answer);
  all = Array.from({ length: 70 }, (_, i) => thread(i + 1));
  fails = false;
  searches = [];
});
afterEach(leave);

async function load() {
  const { threads } = await import('../src/live/threads.svelte');
  await threads.refresh();
  return threads;
}
const names = (list: Thread[]) => list.map((t) => t.title);

describe('the list of threads', () => {
  test('is read page by page, and what is new comes in front', async () => {
    const threads = await load();
    expect(threads.list.length).toBe(30);
    await threads.loadMore();
    await threads.loadMore();
    expect(threads.list.length).toBe(70);
    expect(threads.hasMore).toBe(false);
    all = [...all.filter((t) => t.id !== 't70'), thread(71), thread(40, { updated_at: '2030' })];
    all = all.filter((t) => t.updated_at === '2030' || t.id !== 't40');
    const { announce } = await import('../src/live/changes');
    announce({ what: 'thread', threadId: 't71' });
    await settle(500);
    expect(names(threads.list).slice(0, 3)).toEqual(['Thread 40', 'Thread 71', 'Thread 69']);
    expect(new Set(names(threads.list)).size).toBe(threads.list.length);
    expect(names(threads.list)).not.toContain('Thread 70');
  });

  test('shows at once what is done here, and takes it back when it fails', async () => {
    const threads = await load();
    const before = names(threads.list);
    fails = true;
    const renamed = threads.rename('t70', 'New');
    expect(threads.list[0]!.title).toBe('New');
    await expect(renamed).rejects.toThrow('no');
    const removed = threads.remove('t69');
    expect(names(threads.list)).not.toContain('Thread 69');
    await expect(removed).rejects.toThrow();
    await expect(threads.archive('t68', true)).rejects.toThrow();
    expect(names(threads.list)).toEqual(before);
    await expect(threads.loadMore()).rejects.toThrow();
    fails = false;
    await threads.refresh();
    expect(threads.phase).toBe('ready');
  });

  test('archives and brings back', async () => {
    const threads = await load();
    await threads.archived.refresh();
    await threads.archive('t70', true);
    expect(names(threads.archived.list)).toEqual(['Thread 70']);
    expect(names(threads.list)[0]).toBe('Thread 69');
    await threads.archive('t70', false);
    expect(threads.archived.list).toEqual([]);
    expect(names(threads.list)[0]).toBe('Thread 70');
  });
});

describe('search', () => {
  test('asks once for many keys, again while it is not complete, and reads on', async () => {
    const { search } = await import('../src/live/search.svelte');
    found = [
      { complete: false, hits: [] },
      { complete: true, hits: [{ message_id: 'a' }], next_cursor: 'c' },
    ];
    for (const query of ['h', 'he', 'hel', 'hello']) search.query = query;
    await settle(200);
    expect(searches.map((s) => s.get('q'))).toEqual(['hello']);
    expect(search.complete).toBe(false);
    await settle(500);
    expect(search.hits.map((h) => h.message_id)).toEqual(['a']);
    found = [{ complete: true, hits: [{ message_id: 'a' }, { message_id: 'b' }] }];
    await search.loadMore();
    expect(search.hits.map((h) => h.message_id)).toEqual(['a', 'b']);
    expect(search.hasMore).toBe(false);
    search.query = ' ';
    expect(search.phase).toBe('idle');
    expect(search.hits).toEqual([]);
    expect(search.query).toBe(' '); // or whoever sets it anew when it changes would never end
  });

  test('reading on says nothing when something else is searched for', async () => {
    const { search } = await import('../src/live/search.svelte');
    found = [{ complete: true, hits: [{ message_id: 'a' }], next_cursor: 'c' }];
    search.query = 'hello';
    await settle(500);
    vi.stubGlobal('fetch', async (_: string, { signal }: RequestInit) => {
      await settle();
      signal!.throwIfAborted();
    });
    const more = search.loadMore();
    search.query = 'hello there';
    await expect(more).resolves.toBeUndefined();
  });
});

describe('drafts', () => {
  const kept = new Map<string, string>();
  beforeEach(() => {
    kept.clear();
    vi.stubGlobal('localStorage', {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => void kept.set(key, value),
    });
  });
  const image = { id: 'i', mediaType: 'image/png' as const, data: 'AAAA' };
  const inTime = async <T>(work: Promise<T>): Promise<T> => {
    await settle();
    return work;
  };

  test('are kept a thread each, with their images', async () => {
    const { drafts } = await import('../src/live/drafts');
    await inTime(drafts.save('t', { text: 'words', images: [image] }));
    await inTime(drafts.save(null, { text: 'new', images: [] }));
    expect(drafts.text('t')).toBe('words');
    expect(drafts.text(null)).toBe('new');
    expect(await inTime(drafts.load('t'))).toEqual({ text: 'words', images: [image] });
    await inTime(drafts.clear('t'));
    expect(await inTime(drafts.load('t'))).toEqual({ text: '', images: [] });
  });

  test('are bounded, and the oldest go', async () => {
    const { drafts } = await import('../src/live/drafts');
    for (let i = 0; i < 60; i++) {
      vi.setSystemTime(i * 1000);
      await drafts.save(`t${i}`, { text: `draft ${i}`, images: [] });
    }
    expect(drafts.text('t59')).toBe('draft 59');
    expect(drafts.text('t0')).toBe('');
    expect(Object.keys(JSON.parse(kept.get('adjutant.drafts')!)).length).toBe(50);
  });

  test('belong to who wrote them', async () => {
    const pageOf = async (user: string) => {
      gateway.user = user;
      const { connection, session } = await openTab();
      connection.stop();
      return { session, ...(await import('../src/live/drafts')) };
    };
    vi.stubGlobal('fetch', gateway.fetch);
    const { session, drafts } = await pageOf('one');
    await drafts.save(null, { text: 'min', images: [] });
    await session.logout();
    await drafts.save(null, { text: 'mine', images: [] }); // as the screen goes away
    expect((await pageOf('two')).drafts.text(null)).toBe('');
    expect((await pageOf('one')).drafts.text(null)).toBe('mine');
  });

  test('survive damaged storage', async () => {
    const { drafts } = await import('../src/live/drafts');
    kept.set('adjutant.drafts', '{broken');
    expect(drafts.text('t')).toBe('');
    await drafts.save('t', { text: 'x', images: [] });
    expect(drafts.text('t')).toBe('x');
  });
});
