// Measures the program on SQLite and PostgreSQL against the bundled fake model, side by side with
// nginx as a plain proxy to the same model, and prints a table of what was asked for and what is.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Bench } from './stage.mjs';
import { MEASUREMENTS } from './measure.mjs';

const USAGE = `usage: tests/bench/run [--quick] [--rounds N] [--json FILE] [--backend sqlite|postgres] [NAME...]

Measures all, or those named: ${Object.keys(MEASUREMENTS).join(', ')}.
--quick takes seconds instead of minutes and is good for comparing changes.
Environment: ADJUTANT_BUILD, the folder with bin/adjutant and tests/ (build/release).
`;

function readArguments(argv) {
  const o = { quick: false, rounds: undefined, json: undefined, names: [], backends: ['sqlite', 'postgres'] };
  for (let i = 0; i < argv.length; i++) {
    const a = argv[i];
    if (a === '--quick') o.quick = true;
    else if (a === '--rounds') o.rounds = Number(argv[++i]);
    else if (a === '--json') o.json = argv[++i];
    else if (a === '--backend') o.backends = [argv[++i]];
    else if (a === '--help' || !MEASUREMENTS[a]) {
      process.stdout.write(USAGE);
      process.exit(a === '--help' ? 0 : 2);
    } else o.names.push(a);
  }
  o.rounds ??= o.quick ? 2 : 5;
  if (!o.names.length) o.names = Object.keys(MEASUREMENTS);
  return o;
}

function print(rows) {
  const head = ['', 'floor', 'SQLite', 'PostgreSQL', 'target'];
  const lines = [head, ...rows.map((r) => [r.what, r.floor ?? '', r.sqlite ?? '', r.postgres ?? '', r.target ?? ''])];
  const widths = head.map((_, i) => Math.max(...lines.map((l) => l[i].length)));
  for (const [n, line] of lines.entries()) {
    console.log(line.map((cell, i) => (i ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join('  ').trimEnd());
    if (n === 0) console.log(widths.map((w) => '-'.repeat(w)).join('  '));
  }
}

const options = readArguments(process.argv.slice(2));
const root = fileURLToPath(new URL('../..', import.meta.url));
const bench = new Bench({ ...options, build: process.env.ADJUTANT_BUILD ?? path.join(root, 'build/release'), root });
const rows = [];
try {
  await bench.start();
  for (const name of options.names) {
    console.error(`measuring ${name} ...`);
    try {
      for (const row of await MEASUREMENTS[name](bench)) rows.push({ name, ...row });
    } catch (e) {
      console.error(e);
      rows.push({ name, what: `${name}: failed` });
      process.exitCode = 1;
    }
  }
} finally {
  await bench.stop();
}
console.log(`\n32 tokens a turn where nothing else is said; ${options.rounds} interleaved rounds, medians; every turn fsynced.\n`);
print(rows);
if (options.json) fs.writeFileSync(options.json, `${JSON.stringify(rows, null, 1)}\n`);
process.exit();
