// What a client shows of a turn, and the rules that events must keep (docs/api.md, AG-UI 1.0).
import assert from 'node:assert/strict';

export const TERMINAL = new Set(['RUN_FINISHED', 'RUN_ERROR']);

/** The state a client holds after these events (objects {id, json}); START on a known id begins it anew. */
export class View {
  constructor() {
    this.messages = new Map(); // id -> {role, text, reasoning}
    this.calls = new Map(); // id -> {name, args, result}
    this.open = new Set();
    this.started = 0;
    this.end = undefined;
  }

  apply(e) {
    switch (e.type) {
      case 'RUN_STARTED': this.started++; this.open.clear(); break;
      case 'TEXT_MESSAGE_START': this.messages.set(e.messageId, { role: e.role ?? 'assistant', text: '' }); break;
      case 'TEXT_MESSAGE_CONTENT': this.messages.get(e.messageId).text += e.delta; break;
      case 'REASONING_MESSAGE_START': this.messages.set(`r:${e.messageId}`, { role: 'reasoning', text: '' }); break;
      case 'REASONING_MESSAGE_CONTENT': this.messages.get(`r:${e.messageId}`).text += e.delta; break;
      case 'TOOL_CALL_START': this.calls.set(e.toolCallId, { name: e.toolCallName, args: '' }); break;
      case 'TOOL_CALL_ARGS': this.calls.get(e.toolCallId).args += e.delta; break;
      case 'TOOL_CALL_RESULT': this.call(e.toolCallId).results = (this.call(e.toolCallId).results ?? []).concat(e.content); break;
      case 'MESSAGES_SNAPSHOT': this.snapshot(e.messages); break;
      case 'RUN_FINISHED': case 'RUN_ERROR': this.end = e; break;
      default:
    }
    return this;
  }

  call(id) {
    if (!this.calls.has(id)) this.calls.set(id, { name: undefined, args: '' });
    return this.calls.get(id);
  }

  snapshot(messages) {
    this.messages.clear();
    this.calls.clear();
    this.open.clear();
    for (const m of messages) {
      if (m.role === 'tool') {
        this.call(m.toolCallId).results = [m.content];
      } else if (m.role === 'assistant' || m.role === 'reasoning') {
        this.messages.set(m.role === 'reasoning' ? `r:${m.id}` : m.id, { role: m.role, text: typeof m.content === 'string' ? m.content : '' });
        for (const c of m.toolCalls ?? []) this.calls.set(c.id, { name: c.function.name, args: c.function.arguments });
      } else {
        this.messages.set(m.id, { role: m.role, text: typeof m.content === 'string' ? m.content : '' });
      }
    }
  }

  get text() {
    return [...this.messages.values()].filter((m) => m.role === 'assistant' && m.text).map((m) => m.text).join('\n');
  }

  /** What the assistant said last; a snapshot brings the whole thread. */
  get last() {
    return [...this.messages.values()].filter((m) => m.role === 'assistant' && m.text).at(-1)?.text;
  }

  get reasoning() {
    return [...this.messages.values()].filter((m) => m.role === 'reasoning').map((m) => m.text).join('');
  }
}

export function view(events) {
  const v = new View();
  for (const e of events) v.apply(e.json ?? e.event ?? e);
  return v;
}

const STARTS = {
  TEXT_MESSAGE_START: ['text', 'messageId'], REASONING_START: ['reasoning', 'messageId'],
  REASONING_MESSAGE_START: ['reasoning message', 'messageId'], TOOL_CALL_START: ['call', 'toolCallId'], STEP_STARTED: ['step', 'stepName'],
};
const ENDS = {
  TEXT_MESSAGE_END: ['text', 'messageId'], REASONING_END: ['reasoning', 'messageId'],
  REASONING_MESSAGE_END: ['reasoning message', 'messageId'], TOOL_CALL_END: ['call', 'toolCallId'], STEP_FINISHED: ['step', 'stepName'],
};
const WITHIN = {
  TEXT_MESSAGE_CONTENT: ['text', 'messageId'], REASONING_MESSAGE_CONTENT: ['reasoning message', 'messageId'], TOOL_CALL_ARGS: ['call', 'toolCallId'],
};

function noNulls(value, path) {
  assert.notEqual(value, null, `${path} is null`);
  if (typeof value === 'object') for (const [k, v] of Object.entries(value)) noNulls(v, `${path}.${k}`);
}

/** A whole stream from its first event: order, brackets, ids and field rules. {partial}: begins or ends anywhere. */
export function checkEvents(frames, { partial = false } = {}) {
  const open = new Set();
  let lastId = 0;
  frames.forEach((frame, i) => {
    const e = frame.json ?? frame.event;
    const at = `event ${i} (${e.type})`;
    assert.equal(typeof e.type, 'string', `event ${i} has no type`);
    const number = frame.id ?? frame.seq;
    if (number !== undefined) { // what was made up for this client alone has none
      assert.ok(Number.isSafeInteger(Number(number)) && Number(number) > lastId, `${at}: number ${number} after ${lastId}`);
      lastId = Number(number);
    }
    noNulls(e, at);
    if (e.timestamp !== undefined) assert.ok(Number.isInteger(e.timestamp), `${at}: timestamp ${e.timestamp}`);
    for (const [name, value] of Object.entries(e)) {
      if (/Id$/.test(name)) assert.equal(typeof value, 'string', `${at}: ${name}`);
    }
    if (!partial && i === 0) assert.ok(e.type === 'RUN_STARTED' || e.type === 'RUN_ERROR', `first is ${e.type}`);
    if (TERMINAL.has(e.type)) assert.equal(i, frames.length - 1, `${at}: something follows the end`);
    if (e.type === 'RUN_STARTED') open.clear();
    if (STARTS[e.type]) {
      const [kind, field] = STARTS[e.type];
      assert.ok(!open.has(kind + e[field]), `${at}: ${e[field]} is open already`);
      open.add(kind + e[field]);
    }
    if (WITHIN[e.type] && !partial) {
      const [kind, field] = WITHIN[e.type];
      assert.ok(open.has(kind + e[field]), `${at}: ${e[field]} is not open`);
      if (e.type !== 'TOOL_CALL_ARGS') assert.ok(e.delta.length > 0, `${at}: empty delta`);
    }
    if (ENDS[e.type]) {
      const [kind, field] = ENDS[e.type];
      if (!partial) assert.ok(open.has(kind + e[field]), `${at}: ${e[field]} is not open`);
      open.delete(kind + e[field]);
    }
    if (e.type === 'RUN_FINISHED') assert.deepEqual([...open], [], `${at}: left open`);
  });
  if (!partial) assert.ok(TERMINAL.has((frames.at(-1)?.json ?? frames.at(-1)?.event)?.type), `the last is ${JSON.stringify(frames.at(-1))}`);
}
