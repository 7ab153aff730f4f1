// MCP servers from npm that are none of ours.
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { eventually, request } from './http.mjs';
import { freePort, Program } from './programs.mjs';

const main = (name) => fileURLToPath(new URL(`../node_modules/@modelcontextprotocol/server-${name}/dist/index.js`, import.meta.url));

/** How mcp.json starts one on stdio. */
export const stdio = (name, ...args) => ({ command: process.execPath, args: [main(name), ...args] });

/** server-everything on streamable HTTP; it says on its output what it does. */
export class Everything {
  static async start() {
    const s = new Everything();
    s.port = await freePort();
    s.url = `http://127.0.0.1:${s.port}/mcp`;
    s.program = new Program([process.execPath], [main('everything'), 'streamableHttp'], { PATH: process.env.PATH, PORT: String(s.port) });
    await eventually(() => {
      if (s.program.end) throw Object.assign(new Error(s.program.output), { fatal: true });
      return request(s.url, 'GET', '/mcp', { deadlineMs: 2000 });
    }, { what: 'server-everything' });
    return s;
  }

  definition(more = {}) {
    return { url: this.url, ...more };
  }

  async stop() {
    this.program.child.kill('SIGKILL');
    await this.program.ended;
  }
}

/** Processes whose command line holds `text`, as {pid, ppid}. */
export function processes(text) {
  const found = [];
  for (const pid of fs.readdirSync('/proc').filter((d) => /^\d+$/.test(d))) {
    try {
      if (!fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text)) continue;
      found.push({ pid: Number(pid), ppid: Number(/^PPid:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) });
    } catch { /* it ended */ }
  }
  return found;
}
