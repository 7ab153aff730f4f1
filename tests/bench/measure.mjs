// The measurements. Each gives rows of the table: {what, floor, sqlite, postgres, target}.
import { cpuSeconds, median, memory, sleep } from './stage.mjs';

const ms = (us) => `${(us / 1000).toFixed(2)} ms`;
const mb = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
const rate = (n) => `${Math.round(n)}/s`;

/** Runs `one` for the floor and each backend, round after round; medians by what `pick` takes from each. */
async function rounds(bench, one, contestants) {
  const results = Object.fromEntries(Object.keys(contestants).map((name) => [name, []]));
  for (let i = 0; i < bench.rounds; i++) {
    for (const [name, contestant] of Object.entries(contestants)) results[name].push(await one(contestant, name));
  }
  return (pick) => Object.fromEntries(Object.entries(results).map(([name, list]) => [name, median(list.map(pick))]));
}

const row = (what, target, values, show, more = {}) => ({
  what, target, ...Object.fromEntries(['floor', 'sqlite', 'postgres'].map((k) => [k, values[k] === undefined ? '' : show(values[k])])), ...more,
  numbers: values,
});

/** Time to the first token, one client at a time. */
async function ttft(bench) {
  const n = bench.quick ? 200 : 1000;
  const contestants = { direct: null, floor: null, ...bench.servers };
  const result = await rounds(bench, async (g, name) => {
    if (g) return bench.load(`${g.url}/api/chat`, ['-c', 1, '-n', n, ...bench.turnRequest(g)]);
    return bench.load(`${name === 'floor' ? bench.nginxUrl : bench.fake.url}/v1/chat/completions`, ['-c', 1, '-n', n, ...bench.plainRequest()]);
  }, contestants);
  const added = (q) => {
    const v = result((r) => r.first_us[q]);
    return Object.fromEntries(Object.entries(v).map(([k, us]) => [k, us - v.direct]));
  };
  return [
    row('added time to first token, c=1, p50', '<= 1 ms', added('p50'), ms),
    row('added time to first token, c=1, p99', '', added('p99'), ms),
  ];
}

async function underLoad(bench, concurrency, seconds) {
  return rounds(bench, async (g) => {
    const pid = g ? g.program.pid : bench.nginxWorker;
    const [cpu, database] = [cpuSeconds(pid), g ? bench.databaseSeconds(g) : 0];
    const report = g
      ? await bench.load(`${g.url}/api/chat`, ['-c', concurrency, '-t', seconds, ...bench.turnRequest(g)])
      : await bench.load(`${bench.nginxUrl}/v1/chat/completions`, ['-c', concurrency, '-t', seconds, ...bench.plainRequest()]);
    report.cpu_us = (cpuSeconds(pid) - cpu) / report.done * 1e6;
    report.database_us = g?.db ? (bench.databaseSeconds(g) - database) / report.done * 1e6 : undefined;
    return report;
  }, { floor: null, ...bench.servers });
}

async function throughput(bench) {
  const seconds = bench.quick ? 2 : 6;
  const at64 = await underLoad(bench, 64, seconds);
  const memories = Object.fromEntries([['floor', bench.nginxWorker], ...Object.entries(bench.servers).map(([k, g]) => [k, g.program.pid])].map(([k, pid]) => [k, memory(pid).pss]));
  return [
    row('turns a second, c=64', '2,000 and 1,000', at64((r) => r.rate), rate),
    row('our CPU a turn, c=64', '<= 0.40 ms', at64((r) => r.cpu_us), ms),
    row("database server's CPU a turn", '', { postgres: at64((r) => r.database_us ?? 0).postgres }, ms),
    row('first token, c=64, p50', '', at64((r) => r.first_us.p50), ms),
    row('whole turn, c=64, p95', '', at64((r) => r.total_us.p95), ms),
    row('memory after it (PSS)', '', memories, mb),
  ];
}

/** A thread that grows: what its late turns cost, beside early ones and beside a young thread with as long a prompt. */
async function thread(bench) {
  const [last, block] = bench.quick ? [300, 30] : [1000, 50];
  const results = {};
  for (const [name, g] of Object.entries(bench.servers)) {
    const id = `grow-${Date.now()}`;
    const turns = async (n, more) => {
      const cpu = cpuSeconds(g.program.pid);
      const r = await bench.load(`${g.url}/api/chat`, ['-c', 1, '-n', n, ...bench.turnRequest(g, { thread: id, ...more })]);
      return { cpu_us: (cpuSeconds(g.program.pid) - cpu) / n * 1e6, p50: r.total_us.p50, prompt: (await bench.fake.log(0)).counters.bench_last_bytes };
    };
    const count = async () => {
      let n = 0;
      for (const table of ['messages', 'checkpoints', 'events', 'effects', 'usage']) {
        n += Number((await g.query(`SELECT count(*) FROM ${table} WHERE turn_id IN (SELECT id FROM turns WHERE thread_id = '${id}')`))[0][0]);
      }
      return n;
    };
    await turns(5);
    const early = await turns(block);
    await turns(last - 2 * block - 5);
    const before = await count();
    const late = await turns(block);
    const rows = (await count() - before) / block;
    const long = { thread: `${id}-long` };
    await turns(1, { ...long, message: 'x'.repeat(Math.max(1, Math.min(250_000, late.prompt - early.prompt))) });
    const young = await turns(block, long);
    results[name] = { early, late, young, rows };
  }
  const pick = (f) => Object.fromEntries(Object.entries(results).map(([k, r]) => [k, f(r)]));
  const kib = (n) => `${(n / 1024).toFixed(1)} KiB`;
  return [
    row('prompt of an early and a late turn', '', pick((r) => [r.early.prompt, r.late.prompt]), (v) => v.map(kib).join(', ')),
    row(`CPU of a turn near turn ${block}`, '', pick((r) => r.early.cpu_us), ms),
    row(`CPU of a turn near turn ${last}`, '', pick((r) => r.late.cpu_us), ms),
    row('CPU of a turn with as long a prompt, young thread', '', pick((r) => r.young.cpu_us), ms),
    row('late turn / early turn, CPU', '', pick((r) => r.late.cpu_us / r.early.cpu_us), (x) => x.toFixed(2)),
    row('late turn / young turn with its prompt, CPU', '<= 1.3', pick((r) => r.late.cpu_us / r.young.cpu_us), (x) => x.toFixed(2)),
    row('late turn / early turn, time', '', pick((r) => r.late.p50 / r.early.p50), (x) => x.toFixed(2)),
    row('rows a late turn leaves', 'constant', pick((r) => r.rows), (x) => x.toFixed(1)),
  ];
}

/** Many streams at the pace of a model. */
async function streams(bench) {
  const [n, tokens, pace] = bench.quick ? [1000, 40, 50] : [1000, 200, 50];
  const results = {};
  for (const [name, backend] of [['floor', undefined], ...bench.backends.map((b) => [b, b])]) {
    const g = backend && await bench.gateway(backend, { model: `bench-${tokens}-${pace}ms`, env: { ADJUTANT_USER_MAX_TURNS: String(2 * n) } });
    const pid = g ? g.program.pid : bench.nginxWorker;
    const base = memory(pid).pss;
    const cpu = cpuSeconds(pid);
    let peak = 0;
    const watch = setInterval(() => { peak = Math.max(peak, memory(pid).pss); }, 250);
    const pacing = ['-c', n, '-n', n, '--ramp', 2000, '--pace', pace, '--tokens', tokens];
    const r = g
      ? await bench.load(`${g.url}/api/chat`, [...pacing, ...bench.turnRequest(g)])
      : await bench.load(`${bench.nginxUrl}/v1/chat/completions`, [...pacing, ...bench.plainRequest(`bench-${tokens}-${pace}ms`)]);
    clearInterval(watch);
    results[name] = { ...r, cpu_us: (cpuSeconds(pid) - cpu) / (n * tokens) * 1e6, each: (peak - base) / n };
    if (g) await g.stop();
  }
  const pick = (f) => Object.fromEntries(Object.entries(results).map(([k, r]) => [k, f(r)]));
  return [
    row(`${n} streams at ${1000 / pace} tokens/s: late at the end, p50`, 'not behind', pick((r) => r.late_us.p50), ms),
    row(`${n} streams: late at the end, p99`, '', pick((r) => r.late_us.p99), ms),
    row(`${n} streams: longest pause beyond the pace, p99`, '', pick((r) => r.gap_us.p99), ms),
    row('CPU a token of a stream', '(33 us)', pick((r) => r.cpu_us), (us) => `${us.toFixed(1)} us`),
    row('memory a stream', '< 64 KiB', pick((r) => r.each), (b) => `${(b / 1024).toFixed(1)} KiB`),
  ];
}

/** Nothing to do: alone, and with many open sockets. */
async function idle(bench) {
  const n = bench.quick ? 2000 : 10000;
  const alone = {}, held = {}, cpu = {};
  for (const backend of bench.backends) {
    const g = await bench.gateway(backend);
    await sleep(500);
    alone[backend] = memory(g.program.pid).pss;
    await bench.sockets(g, n, async (open) => {
      if (open !== n) console.error(`  only ${open} of ${n} sockets opened`);
      await sleep(1500);
      held[backend] = memory(g.program.pid).pss;
      const before = cpuSeconds(g.program.pid);
      await sleep(3000);
      cpu[backend] = (cpuSeconds(g.program.pid) - before) / 3;
    });
    await g.stop();
  }
  return [
    row('memory idle (PSS)', '< 15 MB', alone, mb),
    row(`memory with ${n} idle WebSockets`, `< ${Math.round(60 * (n === 10000 ? 1 : (15 + 45 * n / 10000) / 60))} MB`, held, mb),
    row(`CPU with ${n} idle WebSockets`, '', cpu, (x) => `${(x * 100).toFixed(2)} %`),
  ];
}

/** From the command to the first answer. */
async function startup(bench) {
  const results = {};
  for (const [name, g] of Object.entries(bench.servers)) {
    const times = [];
    for (let i = 0; i < (bench.quick ? 3 : 9); i++) {
      await g.stop();
      const begun = process.hrtime.bigint();
      await g.begin({}, { ready: false });
      for (;;) {
        try {
          const r = await fetch(`${g.url}/api/health`);
          await r.arrayBuffer();
          if (r.ok) break;
        } catch { /* not yet */ }
        await sleep(1);
      }
      times.push(Number(process.hrtime.bigint() - begun) / 1000);
    }
    results[name] = median(times);
  }
  return [row('ready after the start', '<= 100 ms', results, ms)];
}

/** Memory over many turns. */
async function soak(bench) {
  const [turns, steps] = bench.quick ? [6000, 3] : [100000, 10];
  const first = {}, last = {};
  for (const [name, g] of Object.entries(bench.servers)) {
    const sizes = [];
    for (let i = 0; i < steps; i++) {
      await bench.load(`${g.url}/api/chat`, ['-c', 32, '-n', turns / steps, ...bench.turnRequest(g)]);
      sizes.push(memory(g.program.pid).pss);
    }
    console.error(`  ${name}: ${sizes.map(mb).join(', ')}`);
    first[name] = sizes[0];
    last[name] = sizes.at(-1);
  }
  return [
    row(`memory after ${turns / steps} turns`, '', first, mb),
    row(`memory after ${turns} turns`, 'flat', last, mb),
  ];
}

/** MCP: a call through a user's bridge beside bare libcurl, a long list, many idle users. */
async function bridge(bench) {
  const { McpServer, manyTools, richTools, lean } = await bench.mcp();
  const many = await McpServer.start({ name: 'many', tools: richTools(235, 2470) });
  const few = await McpServer.start({ name: 'few', tools: manyTools(10, 400) });
  try {
    const calls = [];
    for (let i = 0; i < bench.rounds; i++) calls.push(await bench.bridge('calls', { lean: { url: lean.url } }, ['lean', lean.tool, bench.quick ? 1000 : 5000]));
    const list = await bench.bridge('list', { many: many.definition() }, ['many', bench.quick ? 10 : 50]);
    const idle = await bench.bridge('idle', { few: few.definition() }, ['few', bench.quick ? 200 : 1000]);
    const pick = (f) => median(calls.map(f));
    const us = (n) => `${Math.round(n)} us`;
    const both = (n) => ({ sqlite: n });
    return [
      row('MCP call through the bridge, p50', '', { floor: pick((r) => r.bare_us.p50), ...both(pick((r) => r.bridge_us.p50)) }, us),
      row('MCP call through the bridge, p99', '', { floor: pick((r) => r.bare_us.p99), ...both(pick((r) => r.bridge_us.p99)) }, us),
      row('added by the bridge to a call, p50', '< 1 ms', both(pick((r) => r.overhead_us)), us),
      row('CPU of a call', '', { floor: pick((r) => r.bare_cpu_us), ...both(pick((r) => r.bridge_cpu_us)) }, us),
      row(`CPU to list ${list.tools} tools (580 KB)`, '< 50 ms', both(list.first_list_cpu_us), ms),
      row('CPU to adapt them to a provider, once', '', both(list.first_toolset_cpu_us), ms),
      row('CPU to list them for another user', '', both(list.list_cpu_us.p50), ms),
      row(`memory of an idle user's bridge, ${idle.n} users`, '< 64 KB', both(idle.bytes_each), (b) => `${(b / 1000).toFixed(1)} KB`),
      row(`CPU with ${idle.n} idle bridges`, '', both(idle.idle_cpu_us / 3e6), (x) => `${(x * 100).toFixed(2)} %`),
    ];
  } finally {
    await Promise.all([many, few, lean].map((s) => s.stop()));
  }
}

export const MEASUREMENTS = { ttft, throughput, thread, streams, idle, startup, soak, bridge };
