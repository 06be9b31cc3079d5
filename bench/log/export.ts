/** Exports the log and verifies the export, as users do, and watches the memory of every process. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { request } from 'node:https'
import type { Serving } from '../serving.ts'

const main = fileURLToPath(new URL('../../dist/src/main.js', import.meta.url))

/** The maximum resident memory of a process so far, in megabytes; 0 when it has ended. */
function peakOf(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
  } catch {
    return 0
  }
}

type Run = { seconds: number; peak: number; remarks: string }

async function run(args: string[], env: Record<string, string>): Promise<Run> {
  const startedAt = performance.now()
  const child: ChildProcess = spawn(process.execPath, [main, ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let [remarks, peak] = ['', 0]
  child.stderr?.on('data', (chunk: Buffer) => (remarks += chunk.toString()))
  const timer = setInterval(() => (peak = Math.max(peak, peakOf(child.pid ?? 0))), 50)
  const [code] = await once(child, 'exit')
  clearInterval(timer)
  if (code !== 0) throw new Error(`purser ${args.join(' ')} ended with ${code}: ${remarks}`)
  return { seconds: (performance.now() - startedAt) / 1000, peak, remarks }
}

const lastLine = (text: string, start: string): string =>
  text
    .split('\n')
    .filter((line) => line.startsWith(start))
    .at(-1) ?? ''

const keyOf = (port: number, roots: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path: '/log/keys', ca: roots, servername: 'localhost' }
    const call = request(options, (reply) => {
      let text = ''
      reply.on('data', (chunk: Buffer) => (text += chunk.toString()))
      reply.on('end', () => {
        const { keys }: { keys: { vkey: string }[] } = JSON.parse(text)
        resolve(keys[0]?.vkey ?? '')
      })
    })
    call.on('error', reject).end()
  })

/** @returns a line for each step */
export async function exportAndVerify({ dataDir, port, roots, admin, workerPids }: Serving): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'purser-bench-export-'))
  const file = join(folder, 'log.jsonl')
  try {
    const peaks = (): number => Math.max(...workerPids().map(peakOf))
    const before = peaks()
    const env = {
      PURSER_ADDR: `https://localhost:${port}`,
      PURSER_CA_FILE: join(dataDir, 'ca.pem'),
      PURSER_API_TOKEN: admin,
    }
    const exported = await run(['audit', 'export', '-f', file, '--progress'], env)
    const server = peaks()
    const verified = await run(['audit', 'verify', file, '--key', await keyOf(port, roots), '--progress'], {})
    const megabytes = (await stat(file)).size / 1e6
    return [
      `export: ${exported.seconds.toFixed(1)} s, ${megabytes.toFixed(0)} MB, peak memory ${exported.peak.toFixed(0)} MB; server ${server.toFixed(0)} MB, before ${before.toFixed(0)} MB`,
      `  ${lastLine(exported.remarks, 'exported')}`,
      `verification: ${verified.seconds.toFixed(1)} s, peak memory ${verified.peak.toFixed(0)} MB`,
      `  ${lastLine(verified.remarks, 'verified')}`,
    ]
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
