// Runs the official conformance suite against our client and our server:
//   node run.mjs [client|server] [2025-11-25|2026-07-28]      (none: both)
// ADJUTANT_BUILD is the build folder with the fixtures. Closes with "N passed, N failed" over the
// scenarios that a revision requires; fewer of them than known here is a failure too, so that a
// scenario cannot go missing unnoticed.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const required = {
    'client 2025-11-25': 18,
    'client 2026-07-28': 32,
    'server 2025-11-25': 30,
    'server 2026-07-28': 37,
}

const here = path.dirname(fileURLToPath(import.meta.url))
const build = path.resolve(process.env.ADJUTANT_BUILD ?? path.join(here, '../../build/release'))
const fixtures = path.join(build, 'tests/conformance')
const suite = path.join(here, '../flow/node_modules/@modelcontextprotocol/conformance/dist/index.js')
const results = mkdtempSync(path.join(tmpdir(), 'adjutant-conformance-'))
const RUN_LIMIT_MS = 300_000
const START_LIMIT_MS = 20_000

function runSuite(args) {
    return new Promise((resolve) => {
        const child = spawn(
            process.execPath,
            ['--import', path.join(here, 'import_hook.mjs'), suite, ...args, '-o', results],
            { stdio: ['ignore', 'pipe', 'pipe'], timeout: RUN_LIMIT_MS },
        )
        let output = ''
        child.stdout.on('data', (bytes) => (output += bytes))
        child.stderr.on('data', (bytes) => (output += bytes))
        child.on('close', () => resolve(output))
    })
}

// The server under test, at a port of its own choosing, which it prints.
function startServer() {
    return new Promise((resolve, reject) => {
        const child = spawn(path.join(fixtures, 'mcp_conformance_server'), ['--listen', '127.0.0.1:0'], {
            stdio: ['ignore', 'pipe', 'inherit'],
        })
        let output = ''
        const limit = setTimeout(() => reject(new Error('the server under test did not start')), START_LIMIT_MS)
        child.on('error', reject)
        child.on('exit', (code) => reject(new Error(`the server under test ended (${code})`)))
        child.stdout.on('data', (bytes) => {
            output += bytes
            const url = /http:\/\/\S+\/mcp/.exec(output)
            if (url) {
                clearTimeout(limit)
                resolve({ child, url: url[0] })
            }
        })
    })
}

function stopServer({ child }) {
    return new Promise((resolve) => {
        child.removeAllListeners('exit')
        child.on('exit', resolve)
        child.kill('SIGTERM')
        setTimeout(() => child.kill('SIGKILL'), 5_000).unref()
    })
}

// The suite closes with a line a scenario, then those of them that do not count.
function readSummary(output) {
    const summary = output.slice(output.search(/=== (SUITE )?SUMMARY ===/))
    const [scored, notScored = ''] = summary.split(/^Not scored for /m)
    const ignored = new Set([...notScored.matchAll(/^\s+[✓✗] (\S+) \(/gm)].map((m) => m[1]))
    return [...scored.matchAll(/^([✓✗]) (\S+): .*$/gm)]
        .filter((m) => !ignored.has(m[2]))
        .map((m) => ({ ok: m[1] === '✓', name: m[2], line: m[0] }))
}

async function run(side, revision) {
    const key = `${side} ${revision}`
    let output
    if (side === 'server') {
        const server = await startServer()
        output = await runSuite(['server', '--url', server.url, '--requirements', revision])
        await stopServer(server)
    } else {
        const command = path.join(fixtures, 'mcp_conformance_client')
        output = await runSuite(['client', '--command', command, '--requirements', revision])
    }
    const scenarios = readSummary(output)
    const passed = scenarios.filter((s) => s.ok).length
    for (const s of scenarios.filter((s) => !s.ok)) {
        console.log(`FAIL ${key} ${s.line.slice(2)}`)
    }
    if (scenarios.length < required[key]) {
        console.log(output)
        console.log(`FAIL ${key}: ${scenarios.length} of ${required[key]} scenarios were run`)
    } else {
        console.log(`${passed === scenarios.length ? 'ok  ' : 'FAIL'} ${key}: ${passed}/${scenarios.length}`)
    }
    return { passed, failed: Math.max(required[key], scenarios.length) - passed }
}

const wanted = process.argv.slice(2)
let passed = 0
let failed = 0
try {
    for (const key of Object.keys(required)) {
        if (wanted.every((word) => key.split(' ').includes(word))) {
            const n = await run(...key.split(' '))
            passed += n.passed
            failed += n.failed
        }
    }
} finally {
    rmSync(results, { recursive: true, force: true })
}
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 && passed > 0 ? 0 : 1)
