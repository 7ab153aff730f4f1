// What every flow test begins with.
//
//   eachBackend('chat', (start) => {
//     const g = start({ provider: 'openai' });      a gateway and its fake model, for this suite
//     test('answers', async () => { await g.chat('hello'); });
//   });
//
// Environment: ADJUTANT_BUILD (folder with bin/adjutant and tests/fake/fake_model), ADJUTANT_BIN,
// BACKEND (sqlite or postgres; both when unset), ADJUTANT_WRAPPER (valgrind ...).
import { after, before, describe } from 'node:test';
import { Adjutant, BACKENDS, Fake, killAll } from './lib/programs.mjs';

export { Crashes } from './lib/crash.mjs';
export { Adjutant, ADJUTANT, BACKENDS, EFFECTS, Fake, freePort, Postgres, scratch, sha256 } from './lib/programs.mjs';
export { EventStream, begin, eventually, request, sleep, within } from './lib/http.mjs';
export { checkEvents, TERMINAL, View, view } from './lib/agui.mjs';
export { Socket } from './lib/socket.mjs';
export { OAuthServer } from './lib/oauth_server.mjs';
export { createUser, HOSTILE, McpServer, McpStdio, tools } from './lib/mcp_servers.mjs';

after(killAll);

let ids = 0;
/** A name nobody used before. */
export const fresh = (prefix = 't') => `${prefix}-${process.pid}-${++ids}`;

/** Registers a gateway (and fake model) for the suite; the object is usable inside its tests. */
export function gateway(options) {
  const holder = {};
  const proxy = new Proxy(holder, {
    get(_, name) {
      const target = name in holder ? holder : holder.adjutant;
      const value = target?.[name];
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  before(async () => {
    await options.before?.();
    holder.fake = options.fake ?? await Fake.start(options.fakeOptions);
    holder.adjutant = await Adjutant.start({ ...options, fake: holder.fake });
  });
  after(async () => {
    try {
      if (holder.adjutant?.alive) await holder.adjutant.stop();
    } finally {
      if (!options.fake) await holder.fake?.stop();
    }
  });
  return proxy;
}

export function eachBackend(name, body, backends = BACKENDS) {
  for (const backend of backends.filter((b) => BACKENDS.includes(b))) {
    describe(`${name} (${backend})`, { concurrency: 1 }, () => body((options = {}) => gateway({ backend, ...options }), backend));
  }
}
