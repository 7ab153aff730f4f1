// Runs all flow tests (or those named) on one shared PostgreSQL cluster.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { BACKENDS, Postgres } from './lib/programs.mjs';

const here = new URL('.', import.meta.url);
const named = process.argv.slice(2).filter((a) => !a.startsWith('-'));
const flags = process.argv.slice(2).filter((a) => a.startsWith('-'));
const files = fs.readdirSync(here).filter((f) => f.endsWith('.test.mjs'))
  .filter((f) => !named.length || named.some((n) => f.startsWith(n))).sort();

const env = { ...process.env };
if (BACKENDS.includes('postgres') && !env.FLOW_PG_URL) env.FLOW_PG_URL = (await Postgres.start()).url;
const child = spawn(process.execPath, ['--test', '--test-concurrency=2', '--test-reporter=spec', ...flags, ...files], { cwd: here, env, stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('close', (code) => { process.exit(code ?? 1); });
