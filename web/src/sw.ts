// The service worker: the app opens without a network. It keeps what a build of the app is made of, and nothing of
// anybody's data; /api and /ws never pass here.
//
// Several versions live side by side: each has a cache of its own, and the last few are kept, so that a tab that was
// opened before an update still finds the parts that it loads later.

export {};

declare const self: ServiceWorkerGlobalScope;
declare const __SHELL__: { version: string; files: string[] };

const shell = __SHELL__;
/** What the page names besides what is built. */
const STILL = ['/static/icon.svg', '/static/favicon.ico', '/static/manifest.webmanifest'];
const PREFIX = 'shell-';
const CURRENT = PREFIX + shell.version;
const KEPT = 3;
/** How long a page may take to arrive before the stored one is shown. */
const PATIENCE_MS = 4_000;

const hashed = (path: string) => /-[0-9a-f]{8,}\.[a-z0-9]+$/.test(path);
const isPage = (path: string) =>
  /^\/(?:(?:t|settings|admin)\/[^/]+|settings|admin|welcome|login)?$/.test(path);

// ---- an update

/** While a gateway is being replaced, the page may come from another version than this worker: such a pair would not
 * open without a network. The browser tries again later. */
async function keepPage(cache: Cache): Promise<void> {
  const response = await fetch('/', { cache: 'no-cache' });
  const page = await response.clone().text();
  const parts = [...page.matchAll(/"(\/static\/assets\/[^"]+)"/g)].map(([, path]) => path!);
  if (!response.ok || parts.length === 0 || !parts.every((path) => shell.files.includes(path))) {
    throw new Error('the page is of another version');
  }
  await cache.put('/', response);
}

async function keepFile(cache: Cache, path: string): Promise<void> {
  const known = hashed(path) ? await caches.match(path, { ignoreVary: true }) : undefined;
  const response = known ?? (await fetch(path, { cache: hashed(path) ? 'default' : 'no-cache' }));
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  await cache.put(path, response);
}

async function install(): Promise<void> {
  const cache = await caches.open(CURRENT);
  await keepPage(cache);
  await Promise.all([...shell.files, ...STILL].map((path) => keepFile(cache, path)));
  await self.skipWaiting();
}

async function activate(): Promise<void> {
  const earlier = (await caches.keys()).filter(
    (name) => name.startsWith(PREFIX) && name !== CURRENT,
  );
  await Promise.all(
    earlier.slice(0, Math.max(0, earlier.length + 1 - KEPT)).map((name) => caches.delete(name)),
  );
  await self.clients.claim();
}

// ---- a request

async function stored(path: string): Promise<Response | undefined> {
  return (await caches.open(CURRENT)).match(path, { ignoreVary: true });
}

/** The newest page where the network gives it in time. */
async function page(request: Request): Promise<Response> {
  const network = fetch(request);
  const late = new Promise<undefined>((resolve) =>
    setTimeout(() => resolve(undefined), PATIENCE_MS),
  );
  const first = await Promise.race([network.catch(() => undefined), late]);
  if (first && first.status < 500) return first;
  return (await stored('/')) ?? network;
}

async function file(request: Request, path: string): Promise<Response> {
  if (hashed(path)) return (await caches.match(path, { ignoreVary: true })) ?? fetch(request);
  try {
    return await fetch(request);
  } catch (error) {
    const kept = await stored(path);
    if (kept) return kept;
    throw error;
  }
}

self.addEventListener('install', (event) => event.waitUntil(install()));
self.addEventListener('activate', (event) => event.waitUntil(activate()));
self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== self.location.origin) return;
  if (request.mode === 'navigate') {
    if (isPage(url.pathname)) event.respondWith(page(request));
  } else if (url.pathname.startsWith('/static/')) {
    event.respondWith(file(request, url.pathname));
  }
});
