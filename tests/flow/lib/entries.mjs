// Every way into the gateway, each as a client would use it: ask(g, message) gives {text} and,
// where the entry shows them, the turn's AG-UI events.
import { HttpAgent } from '@ag-ui/client';
import { execFile } from 'node:child_process';
import OpenAI from 'openai';
import { view } from './agui.mjs';
import { ADJUTANT } from './programs.mjs';

let ids = 0;
const fresh = (prefix) => `${prefix}-${process.pid}-${++ids}`;
const user = (content) => ({ role: 'user', content });

export const openai = (g, options = {}) => new OpenAI({ baseURL: `${g.url}/v1`, apiKey: g.headers['X-API-Key'] ?? 'none', maxRetries: 0, ...options });

/** One run of the official AG-UI client: {newMessages, events, agent}. */
export async function agui(g, content, { threadId = fresh('t'), agent = new HttpAgent({ url: `${g.url}/agui`, headers: g.headers, threadId }), input = {} } = {}) {
  if (content !== undefined) agent.messages.push({ id: fresh('m'), ...user(content) });
  const events = [];
  const result = await agent.runAgent(input, { onEvent: ({ event }) => { events.push(event); } });
  return { ...result, events, agent };
}

export const ENTRIES = {
  'POST /api/chat': async (g, message) => ({ text: (await g.chat(message)).message.content }),

  'POST /api/chat, SSE': async (g, message) => {
    const events = (await (await g.stream(message)).all()).map((e) => e.json);
    return { text: view(events).last, events };
  },

  'WebSocket': async (g, message) => {
    const ws = await g.socket();
    const { runId } = await ws.chat({ message });
    const events = (await ws.end(runId)).map((f) => f.event);
    await ws.close();
    return { text: view(events).last, events };
  },

  'AG-UI': async (g, message) => {
    const { newMessages, events } = await agui(g, message);
    return { text: newMessages.at(-1).content, events };
  },

  'completions': async (g, message) => {
    const r = await openai(g).chat.completions.create({ model: 'adjutant', messages: [user(message)] });
    return { text: r.choices[0].message.content };
  },

  'completions, streamed': async (g, message) => {
    const r = await openai(g).chat.completions.stream({ model: 'adjutant', messages: [user(message)] }).finalChatCompletion();
    return { text: r.choices[0].message.content };
  },

  'responses': async (g, message) => ({ text: (await openai(g).responses.create({ model: 'adjutant', input: message })).output_text }),

  'responses, streamed': async (g, message) => ({
    text: (await openai(g).responses.stream({ model: 'adjutant', input: [user(message)] }).finalResponse()).output_text,
  }),

  'adjutant chat': async (g, message) => ({ text: (await chat(g, message)).trim() }),
};

/** `adjutant chat` as a script runs it; what it prints. */
function chat(g, message) {
  return new Promise((resolve, reject) => {
    const env = g.environment({ ADJUTANT_HOME: g.home, ADJUTANT_API_KEY: g.headers['X-API-Key'] ?? '' });
    const child = execFile(ADJUTANT, ['chat', '--url', g.url, message], { env, timeout: 60_000 },
      (error, stdout, stderr) => (error ? reject(new Error(`chat: ${error.code} ${stdout}${stderr}`)) : resolve(stdout)));
    child.stdin.end();
  });
}
