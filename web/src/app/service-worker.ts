// Starts the service worker (sw.ts) of the built app, and says when a newer version has come.
import { text } from '../text';
import { toasts } from '../ui/toasts.svelte';

const ADDRESS = '/sw.js';
/** After the start, so that it takes nothing from what is on the screen. */
const START_MS = 3_000;
/** An app that stays open for days looks for a new version when it is taken up again. */
const LOOK_MS = 60 * 60 * 1000;
const RELOADED = 'adjutant.reloaded';

interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { createScriptURL(url: string): string },
  ): { createScriptURL(url: string): string };
}

/** The one script that may be started by its address. */
function trusted(address: string): string {
  const types = (window as { trustedTypes?: TrustedTypes }).trustedTypes;
  return types
    ? types
        .createPolicy('adjutant-worker', { createScriptURL: () => ADDRESS })
        .createScriptURL(address)
    : address;
}

async function start(): Promise<void> {
  const registration = await navigator.serviceWorker.register(trusted(ADDRESS), {
    updateViaCache: 'none',
  });
  let looked = Date.now();
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState !== 'visible' || Date.now() - looked < LOOK_MS) return;
    looked = Date.now();
    registration.update().catch(() => {});
  });
}

function tellOfUpdates(): void {
  let updates = navigator.serviceWorker.controller !== null; // the first one is none
  navigator.serviceWorker.addEventListener('controllerchange', () => {
    if (!updates) {
      updates = true;
      return;
    }
    toasts.show(text.app.newVersion, {
      action: { label: text.app.reload, run: () => location.reload() },
    });
  });
}

/** Whether there is somebody to load the page from. */
const answers = () =>
  fetch('/api/health?live=1', { cache: 'no-store' }).then(
    (response) => response.ok,
    () => false,
  );

/** A part of an earlier version that is nowhere any more: the page is loaded anew, once. Not while
 * the gateway is away, when it would be gone with all that was typed. */
function mendMissingParts(): void {
  window.addEventListener('vite:preloadError', async () => {
    if (Date.now() - Number(sessionStorage.getItem(RELOADED)) < 60_000) return;
    if (!(await answers())) return;
    sessionStorage.setItem(RELOADED, String(Date.now()));
    location.reload();
  });
}

export function startServiceWorker(): void {
  if (!import.meta.env.PROD) return;
  mendMissingParts();
  if (!('serviceWorker' in navigator)) return;
  tellOfUpdates();
  setTimeout(() => void start().catch(() => {}), START_MS); // without it the app needs a network
}
