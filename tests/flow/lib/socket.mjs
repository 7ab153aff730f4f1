// A client of /ws that keeps all frames.
import WebSocket from 'ws';

export class Socket {
  /** The promise is rejected with {status} when the handshake is refused. */
  static open(base, { headers = {}, path = '/ws', origin, deflate = true } = {}) {
    const url = new URL(path, base.replace(/^http/, 'ws'));
    const s = new Socket();
    s.ws = new WebSocket(url, { headers, origin, perMessageDeflate: deflate });
    s.frames = [];
    s.waiting = [];
    s.ws.on('message', (data) => { s.frames.push(JSON.parse(data.toString())); s.#wake(); });
    s.closed = new Promise((resolve) => s.ws.on('close', (code, reason) => {
      s.closeCode = code;
      s.closeReason = reason.toString();
      resolve(code);
      s.#wake();
    }));
    return new Promise((resolve, reject) => {
      s.ws.on('open', () => resolve(s));
      s.ws.on('error', reject);
      s.ws.on('unexpected-response', (_, response) => {
        reject(Object.assign(new Error(`refused with ${response.statusCode}`), { status: response.statusCode }));
        response.resume();
        s.ws.terminate();
      });
    });
  }

  #wake() {
    for (const resolve of this.waiting.splice(0)) resolve();
  }

  send(frame) {
    this.ws.send(typeof frame === 'string' || Buffer.isBuffer(frame) ? frame : JSON.stringify(frame));
  }

  /** The first frame at or behind `from` for which `match` holds. */
  async next(match, { from = 0, deadlineMs = 30_000 } = {}) {
    const at = Date.now() + deadlineMs;
    for (;;) {
      const found = this.frames.slice(from).find(match);
      if (found) return found;
      const left = at - Date.now();
      if (left <= 0 || this.closeCode !== undefined) {
        throw new Error(`no such frame (closed: ${this.closeCode}); last: ${JSON.stringify(this.frames.slice(-4)).slice(0, 600)}`);
      }
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.waiting.push(() => { clearTimeout(timer); resolve(); });
      });
    }
  }

  type(type, options) {
    return this.next((f) => f.type === type, options);
  }

  /** The frames of a run, as {seq, event}. */
  run(runId) {
    return this.frames.filter((f) => f.type === 'agui' && f.runId === runId);
  }

  async chat(frame) {
    const ref = `c${Math.random()}`;
    this.send({ type: 'chat', ref, ...frame });
    const answer = await this.next((f) => f.ref === ref);
    if (answer.type !== 'accepted') throw Object.assign(new Error(`refused: ${JSON.stringify(answer)}`), { frame: answer });
    return answer;
  }

  async end(runId, options) {
    await this.next((f) => f.type === 'end' && f.runId === runId, options);
    return this.run(runId);
  }

  async close() {
    this.ws.close();
    await this.closed;
  }
}
