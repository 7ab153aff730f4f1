// Runs all tests of the web app, or those named: node run.mjs [NAME...]
import { spawn } from 'node:child_process';
import fs from 'node:fs';

const here = new URL('.', import.meta.url);
const named = process.argv.slice(2).filter((a) => !a.startsWith('-'));
const files = fs.readdirSync(here).filter((f) => f.endsWith('.test.mjs'))
  .filter((f) => !named.length || named.some((n) => f.startsWith(n))).sort();

const child = spawn(process.execPath, ['--test', '--test-concurrency=2', '--test-reporter=spec', ...files], { cwd: here, stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('close', (code) => { process.exit(code ?? 1); });
