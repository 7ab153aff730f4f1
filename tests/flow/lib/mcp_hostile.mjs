// Ways to answer a request badly, for McpServer's `hostile`: {'tools/call': HOSTILE.garbage}. Each
// takes {req, res, rpc, record, server}; false: the server answers as it should.
import { gzipSync } from 'node:zlib';

const JSON_TYPE = { 'Content-Type': 'application/json' };
const SSE_TYPE = { 'Content-Type': 'text/event-stream' };
const CHUNK = 'x'.repeat(64 * 1024);

const BURST = 16; // writes in a row

/** Writes for ever, or `bytes`, at the reader's pace; server.sent says how much was taken. */
function pour(res, server, next, bytes = Infinity) {
  let sent = 0;
  const more = () => {
    for (let i = 0; i < BURST; i++) {
      if (res.destroyed || res.closed || res.socket === null || res.socket?.destroyed) return;
      if (sent >= bytes) { res.end('"}]}}'); return; }
      const piece = next(sent);
      sent += piece.length;
      server.sent += piece.length;
      if (!res.write(piece)) { res.once('drain', more); return; }
    }
    setImmediate(more); // so that a connection that broke is noticed
  };
  more();
}

const head = (rpc) => `{"jsonrpc":"2.0","id":${JSON.stringify(rpc.id)},"result":{"resultType":"complete","content":[{"type":"text","text":"`;
const answerTo = (id, text = 'for somebody') => ({ jsonrpc: '2.0', id, result: { resultType: 'complete', content: [{ type: 'text', text }] } });
const json = (res, body, status = 200, more = {}) => res.writeHead(status, { ...JSON_TYPE, ...more }).end(typeof body === 'string' ? body : JSON.stringify(body));

export const HOSTILE = {
  /** Not even a status. */
  silent: () => {},
  /** A stream that says nothing. */
  silentStream: ({ res }) => { res.writeHead(200, SSE_TYPE); res.write(': here\n\n'); },
  garbage: ({ res }) => { json(res, '\u0000{"jsonrpc": "2.0", "id": }} \ufffd not json'); },
  garbageStream: ({ res }) => { res.writeHead(200, SSE_TYPE).end('data: {{{{\n\ndata: \u0001\n\nnonsense\n\n'); },
  html: ({ res }) => { res.writeHead(200, { 'Content-Type': 'text/html' }).end('<html>welcome</html>'); },
  noRpc: ({ res }) => { json(res, [1, 2, 3]); },
  emptyResult: ({ res, rpc }) => { json(res, { jsonrpc: '2.0', id: rpc.id, result: 7 }); },
  deep: ({ res, rpc }) => { json(res, `{"jsonrpc":"2.0","id":${JSON.stringify(rpc.id)},"result":${'['.repeat(100_000)}${']'.repeat(100_000)}}`); },
  /** Notifications without end. */
  endless: ({ res, server }) => {
    res.writeHead(200, SSE_TYPE);
    const event = `data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: CHUNK.slice(0, 4096) } })}\n\n`;
    pour(res, server, () => event);
  },
  endlessComments: ({ res, server }) => { res.writeHead(200, SSE_TYPE); pour(res, server, () => `: ${CHUNK.slice(0, 1000)}\n`); },
  /** One line without end. */
  endlessLine: ({ res, server }) => { res.writeHead(200, SSE_TYPE); res.write('data: '); pour(res, server, () => CHUNK); },
  /** Progress that never gets anywhere, so that silence is no reason to give up. */
  endlessProgress: ({ res, rpc }) => {
    res.writeHead(200, SSE_TYPE);
    let n = 0;
    const timer = setInterval(() => res.write(`data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress',
      params: { progressToken: rpc.params?._meta?.progressToken, progress: ++n } })}\n\n`), 50);
    res.on('close', () => clearInterval(timer));
  },
  /** A result of `bytes`; the gateway must not take it all. */
  huge: (bytes = 1 << 30) => ({ res, rpc, server }) => { res.writeHead(200, JSON_TYPE); res.write(head(rpc)); pour(res, server, () => CHUNK, bytes); },
  hugeAnnounced: (bytes = 1 << 30) => ({ res, rpc, server }) => {
    res.writeHead(200, { ...JSON_TYPE, 'Content-Length': bytes });
    res.write(head(rpc));
    pour(res, server, () => CHUNK);
  },
  hugeStream: (bytes = 1 << 30) => ({ res, rpc, server }) => { res.writeHead(200, SSE_TYPE); res.write(`data: ${head(rpc)}`); pour(res, server, () => CHUNK, bytes); },
  /** Small on the wire, large when unpacked. */
  bomb: (bytes = 1 << 28) => ({ res, rpc }) => {
    const packed = gzipSync(`${head(rpc)}${'0'.repeat(bytes)}"}]}}`, { level: 9 });
    res.writeHead(200, { ...JSON_TYPE, 'Content-Encoding': 'gzip', 'Content-Length': packed.length }).end(packed);
  },
  redirect: (url, status = 307) => ({ res }) => { res.writeHead(status, { Location: url }).end(); },
  /** Hangs up with nothing said. */
  dies: ({ req }) => { req.socket.destroy(); },
  diesInAnswer: ({ req, res, rpc }) => {
    res.writeHead(200, { ...JSON_TYPE, 'Content-Length': 1000 });
    res.write(head(rpc));
    setTimeout(() => req.socket.destroy(), 50);
  },
  diesInStream: ({ req, res }) => {
    res.writeHead(200, SSE_TYPE);
    res.write('data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"so far so good"}}\n\n');
    setTimeout(() => req.socket.destroy(), 50);
  },
  /** A stream that ends in good order, without the answer. */
  endsEarly: ({ res }) => { res.writeHead(200, SSE_TYPE).end(': bye\n\n'); },
  wrongId: ({ res }) => { json(res, answerTo(987_654_321)); },
  wrongIdStream: ({ res }) => { res.writeHead(200, SSE_TYPE).end(`data: ${JSON.stringify(answerTo('another'))}\n\n`); },
  nullId: ({ res }) => { json(res, { jsonrpc: '2.0', id: null, error: { code: -32700, message: 'I did not get that' } }); },
  /** Bytes of a good answer, one every `ms`. */
  drip: (ms = 100) => ({ res, rpc }) => {
    const bytes = JSON.stringify(answerTo(rpc.id, 'slow'.repeat(200)));
    let i = 0;
    res.writeHead(200, JSON_TYPE);
    const timer = setInterval(() => (i < bytes.length ? res.write(bytes[i++]) : res.end()), ms);
    res.on('close', () => clearInterval(timer));
  },
  /** Header fields without end. */
  hugeHeaders: ({ req, server }) => {
    req.socket.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n');
    let n = 0;
    pour(req.socket, server, () => `X-Field-${n++}: ${CHUNK.slice(0, 4000)}\r\n`);
  },
  badHttp: ({ req }) => { req.socket.end('SSH-2.0-OpenSSH_9.2\r\n'); },
  unauthorized: ({ res }) => { json(res, { error: 'invalid_token' }, 401, { 'WWW-Authenticate': 'Bearer error="invalid_token"' }); },
  forbidden: ({ res }) => { json(res, { error: 'no' }, 403); },
  broken: ({ res }) => { json(res, { error: 'internal' }, 500); },
  busy: ({ res }) => { json(res, { error: 'slow down' }, 429, { 'Retry-After': '3600' }); },
  /** The session is gone each time, though it was just made. */
  sessionLost: ({ res }) => { json(res, { jsonrpc: '2.0', id: null, error: { code: -32001, message: 'Session not found' } }, 404); },
  /** Another page each time, for ever; tools without end. */
  endlessPages: ({ res, rpc, server }) => {
    const page = server.pages = (server.pages ?? 0) + 1;
    json(res, { jsonrpc: '2.0', id: rpc.id, result: { resultType: 'complete', ttlMs: 60_000, cacheScope: 'private', nextCursor: `page-${page}`,
      tools: [{ name: `page_${page}`, description: 'one of many', inputSchema: { type: 'object' }, annotations: { readOnlyHint: true } }] } });
  },
  repeatedCursor: ({ res, rpc, server }) => {
    server.pages = (server.pages ?? 0) + 1;
    json(res, { jsonrpc: '2.0', id: rpc.id, result: { resultType: 'complete', ttlMs: 60_000, cacheScope: 'private', nextCursor: 'again',
      tools: [{ name: `page_${server.pages}`, description: 'one of many', inputSchema: { type: 'object' }, annotations: { readOnlyHint: true } }] } });
  },
};
