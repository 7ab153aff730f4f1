// Tools for McpServer. run({arguments, signal, progress, elicit, call, server}) gives a result of tools/call.
import { setTimeout as delay } from 'node:timers/promises';

export const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==';

const text = (t) => ({ content: [{ type: 'text', text: t }] });
const object = (properties, required = []) => ({ type: 'object', properties, required });
const READS = { readOnlyHint: true };
const DESTROYS = { readOnlyHint: false, destructiveHint: true };

let counter = 0;

/** Takes effect at once, then works on for `ms`. */
async function count({ arguments: { ms = 0 }, signal, server }) {
  server.count = (server.count ?? 0) + 1;
  const n = ++counter;
  if (ms) await delay(ms, undefined, { signal });
  return text(`effect ${n}, number ${server.count} here`);
}

export const tools = {
  echo: {
    name: 'echo', description: 'Says the message again.', annotations: READS, inputSchema: object({ message: { type: 'string' } }, ['message']),
    run: async ({ arguments: { message } }) => text(`echo: ${message}`),
  },
  whoami: {
    name: 'whoami', description: 'Tells which headers arrived.', annotations: READS,
    run: async ({ call }) => text(JSON.stringify(call.headers)),
  },
  count: { name: 'count', description: 'Has an effect.', annotations: DESTROYS, inputSchema: object({ ms: { type: 'integer' } }), run: count },
  plain: { name: 'plain', description: 'Has an effect and says nothing about it.', inputSchema: object({ ms: { type: 'integer' } }), run: count },
  safe_count: {
    name: 'safe_count', description: 'Counts, and may be called again.', annotations: { readOnlyHint: true, idempotentHint: true },
    inputSchema: object({ ms: { type: 'integer' } }), run: count,
  },
  erase: {
    name: 'erase', description: 'Erases a path.', annotations: DESTROYS, inputSchema: object({ path: { type: 'string' }, ms: { type: 'integer' } }, ['path']),
    run: async ({ arguments: { path, ms = 0 }, server, signal }) => {
      (server.erased ??= []).push(path);
      if (ms) await delay(ms, undefined, { signal });
      return text(`erased ${path}`);
    },
  },
  wait: {
    name: 'wait', description: 'Takes its time.', annotations: READS, inputSchema: object({ ms: { type: 'integer' } }),
    run: async ({ arguments: { ms = 1000 }, signal }) => {
      await delay(ms, undefined, { signal });
      return text(`waited ${ms} ms`);
    },
  },
  steps: {
    name: 'steps', description: 'Works in steps and tells of each.', annotations: READS,
    inputSchema: object({ n: { type: 'integer' }, ms: { type: 'integer' } }),
    run: async ({ arguments: { n = 3, ms = 20 }, signal, progress }) => {
      for (let i = 1; i <= n; i++) {
        await delay(ms, undefined, { signal });
        progress(i, n, `step ${i}`);
      }
      return text(`${n} steps done`);
    },
  },
  fail: {
    name: 'fail', description: 'Fails.', annotations: READS,
    run: async () => ({ ...text('the printer is on fire'), isError: true }),
  },
  refuse: {
    name: 'refuse', description: 'Answers with an error of the protocol.', annotations: READS,
    run: async () => { throw Object.assign(new Error('these arguments do not please me'), { code: -32602 }); },
  },
  picture: {
    name: 'picture', description: 'Shows a picture.', annotations: READS,
    run: async () => ({ content: [{ type: 'text', text: 'a pixel:' }, { type: 'image', data: PIXEL, mimeType: 'image/png' }] }),
  },
  structured: {
    name: 'structured', description: 'Gives an object.', annotations: READS, outputSchema: object({ degrees: { type: 'number' } }),
    run: async () => ({ content: [], structuredContent: { degrees: 21.5, sky: 'clear' } }),
  },
  ask_name: {
    name: 'ask_name', description: 'Asks the user for a name.', annotations: READS,
    run: async ({ elicit }) => {
      const answer = await elicit('name', { message: 'What is your name?',
        requestedSchema: object({ name: { type: 'string', description: 'as on the passport' } }, ['name']) });
      return text(answer.action === 'accept' ? `hello ${answer.content.name}` : `no name: ${answer.action}`);
    },
  },
};

/** n tools of about `bytes` bytes each. */
export function manyTools(n, bytes = 200) {
  return Array.from({ length: n }, (_, i) => ({
    name: `tool_${String(i).padStart(5, '0')}`, description: `Number ${i}. ${'Does this and that. '.repeat(Math.max(0, Math.floor((bytes - 200) / 20)))}`,
    annotations: READS, inputSchema: object({ value: { type: 'string', description: 'any' } }), run: async () => text(`this is tool ${i}`),
  }));
}

/** n tools whose schemas make up about `bytes` bytes each, as those of large services do. */
export function richTools(n, bytes) {
  return Array.from({ length: n }, (_, i) => {
    const properties = {};
    const tool = { name: `service_action_${i}`, description: `Does action ${i} of the service and gives its result.`, annotations: READS, inputSchema: object(properties, ['field_0']) };
    for (let k = 0; JSON.stringify(tool).length < bytes - 120; k++) {
      properties[`field_${k}`] = [
        { type: 'string', description: 'An identifier as the list action gives it, or a URL.', maxLength: 200 },
        { type: 'string', enum: ['open', 'closed', 'merged', 'all'], default: 'open', description: 'Which ones.' },
        { type: 'array', items: { type: 'string' }, description: 'Labels that all must be there.' },
        { type: 'object', properties: { page: { type: 'integer', minimum: 1 }, size: { type: 'integer', maximum: 100 } }, additionalProperties: false },
        { anyOf: [{ type: 'string', format: 'date-time' }, { type: 'null' }], description: 'Only what is newer.' },
      ][k % 5];
    }
    return { ...tool, run: async () => text(`action ${i}`) };
  });
}
