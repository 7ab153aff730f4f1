// HTTP as the tests need it: every request on a connection of its own, nothing retried, nothing hidden.
import http from 'node:http';

const DEADLINE_MS = 60_000;

/** The whole answer: {status, headers, text, json}. `body` is an object, a string or a Buffer. */
export async function request(base, method, path, { headers = {}, body, deadlineMs = DEADLINE_MS } = {}) {
  const response = await begin(base, method, path, { headers, body, deadlineMs });
  const chunks = [];
  for await (const chunk of response) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString('utf8');
  let json;
  try { json = JSON.parse(text); } catch { json = undefined; }
  return { status: response.statusCode, headers: response.headers, text, json };
}

/** The response as soon as its head is there; the body is a stream. */
export function begin(base, method, path, { headers = {}, body, deadlineMs = DEADLINE_MS, signal } = {}) {
  const url = new URL(path, base);
  const bytes = body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  const all = { ...headers };
  if (bytes !== undefined && !Object.keys(all).some((k) => k.toLowerCase() === 'content-type')) {
    all['Content-Type'] = 'application/json';
  }
  if (bytes !== undefined) all['Content-Length'] = Buffer.byteLength(bytes);
  return new Promise((resolve, reject) => {
    const r = http.request(url, { method, headers: all, agent: false, signal });
    const timer = setTimeout(() => r.destroy(new Error(`${method} ${path}: nothing after ${deadlineMs} ms`)), deadlineMs);
    r.on('response', (response) => {
      response.on('close', () => clearTimeout(timer));
      resolve(response);
    });
    r.on('error', (e) => { clearTimeout(timer); reject(e); });
    r.end(bytes);
  });
}

/** An SSE stream being read: `next()` gives {id, data, json} or undefined at its end. */
export class EventStream {
  constructor(response) {
    this.response = response;
    this.events = [];
    this.comments = 0;
    this.done = this.#read();
    this.done.catch(() => {});
    this.waiting = [];
  }

  static async open(base, method, path, options = {}) {
    const response = await begin(base, method, path, {
      ...options, headers: { Accept: 'text/event-stream', ...options.headers },
    });
    if (response.statusCode !== 200) {
      let text = '';
      for await (const chunk of response) text += chunk;
      throw Object.assign(new Error(`${method} ${path}: ${response.statusCode} ${text}`), { status: response.statusCode, text });
    }
    return new EventStream(response);
  }

  async #read() {
    let rest = '';
    this.response.setEncoding('utf8');
    try {
      for await (const chunk of this.response) {
        rest += chunk;
        for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
          this.#frame(rest.slice(0, end));
          rest = rest.slice(end + 2);
        }
      }
    } catch (e) {
      this.error = e;
    }
    if (rest.trim()) this.error ??= new Error(`a frame was cut: ${JSON.stringify(rest.slice(0, 80))}`);
    this.ended = true;
    this.#wake();
  }

  #frame(text) {
    const event = { data: undefined };
    if (text.includes('\r')) throw new Error('a CR in the stream');
    for (const line of text.split('\n')) {
      const colon = line.indexOf(':');
      if (colon === 0) { this.comments++; continue; }
      const name = line.slice(0, colon);
      const value = line.slice(colon + 1).replace(/^ /, '');
      if (name === 'data') event.data = event.data === undefined ? value : `${event.data}\n${value}`;
      else event[name] = value;
    }
    if (event.data === undefined) return;
    if (event.data !== '[DONE]') event.json = JSON.parse(event.data);
    this.events.push(event);
    this.#wake();
  }

  #wake() {
    for (const resolve of this.waiting.splice(0)) resolve();
  }

  /** Waits until `enough(events)` is true; fails when the stream ends before. */
  async until(enough, deadlineMs = DEADLINE_MS) {
    const at = Date.now() + deadlineMs;
    while (!enough(this.events)) {
      if (this.ended) throw new Error(`the stream ended: ${this.error?.message ?? ''} ${this.summary()}`);
      const left = at - Date.now();
      if (left <= 0) throw new Error(`waited ${deadlineMs} ms: ${this.summary()}`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.waiting.push(() => { clearTimeout(timer); resolve(); });
      });
    }
    return this.events;
  }

  /** All events, once the stream ended. */
  async all(deadlineMs = DEADLINE_MS) {
    await this.until(() => this.ended, deadlineMs);
    return this.events;
  }

  /** The number to come back with. */
  get lastId() {
    return this.events.findLast((e) => e.id !== undefined)?.id;
  }

  summary() {
    return this.events.slice(-12).map((e) => e.json?.type ?? e.data.slice(0, 60)).join(' ');
  }

  close() {
    this.response.destroy();
  }
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What the promise gives, or undefined when it takes longer. */
export async function within(promise, ms) {
  let timer;
  const late = new Promise((resolve) => { timer = setTimeout(resolve, ms); });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Tries until `attempt` gives something true or throws an error marked fatal. */
export async function eventually(attempt, { deadlineMs = 20_000, everyMs = 50, what = 'it' } = {}) {
  const at = Date.now() + deadlineMs;
  for (;;) {
    let last;
    try {
      const value = await attempt();
      if (value) return value;
      last = value;
    } catch (e) {
      if (e.fatal) throw e;
      last = e;
    }
    if (Date.now() > at) throw new Error(`${what} did not happen within ${deadlineMs} ms; last: ${last?.stack ?? last}`);
    await sleep(everyMs);
  }
}
