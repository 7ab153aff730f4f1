// Few file descriptors: clients can't take those that turns need.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import net from 'node:net';
import path from 'node:path';
import { describe, test } from 'node:test';
import { ADJUTANT, BACKENDS, Fake, eventually, freePort, request, scratch, sleep } from './harness.mjs';

const connect = (port) => new Promise((resolve, reject) => {
  const socket = net.connect(port, '127.0.0.1', () => resolve(socket));
  socket.text = '';
  socket.on('data', (d) => { socket.text += d; });
  socket.on('error', reject);
  socket.on('close', () => { socket.gone = true; });
});

describe('few descriptors', { skip: !BACKENDS.includes('sqlite') }, () => {
  test('and many connections leave enough for a turn', async () => {
    const fake = await Fake.start();
    const port = await freePort();
    const child = spawn('sh', ['-c', 'ulimit -n 256 && exec "$0" "$@"', ADJUTANT, 'serve', '--home', path.join(scratch(), 'home'), '--listen', `127.0.0.1:${port}`],
      { env: { PATH: process.env.PATH, ...fake.environment('openai') }, stdio: 'ignore' });
    const sockets = [];
    try {
      await eventually(async () => (await request(`http://127.0.0.1:${port}`, 'GET', '/api/health')).status === 200, { what: 'health' });
      const first = await connect(port);
      for (let i = 0; i < 400; i++) sockets.push(await connect(port).catch(() => ({ destroy() {}, gone: true })));
      await sleep(300);
      const body = JSON.stringify({ message: '[say still here]' });
      first.write(`POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      await eventually(() => /"state":"\w+"/.test(first.text), { what: 'an answer' });
      assert.match(first.text, /"state":"done".*still here/);
      assert.ok(sockets.some((s) => s.gone), 'some were turned away');
      first.destroy();
    } finally {
      for (const socket of sockets) socket.destroy();
      const ended = new Promise((resolve) => { child.on('close', resolve); });
      child.kill();
      await ended;
      await fake.stop();
    }
  });
});
