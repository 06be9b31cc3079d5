/** Child processes of the bench, their CPU time, and the ports and databases that they need. */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import type { LoadJob, LoadResult } from './load.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

/** A process and all its descendants. */
function family(pid: number): number[] {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]))
    } catch {
      // The process has ended.
    }
  }
  const pids = [pid]
  for (let n = 0; n < pids.length; n++) for (const [child, parent] of parents) if (parent === pids[n]) pids.push(child)
  return pids
}

/** The processes that a process started, and those that they started. */
export const childrenOf = (pid: number): number[] => family(pid).slice(1)

/**
 * User and system time of a process family so far, in microseconds (clock ticks are 10 ms). That of children that ended is
 * in their parent's fields: PostgreSQL ends idle connections during a measurement.
 */
export function cpuMicros(pid: number): number {
  let ticks = 0
  for (const member of family(pid)) {
    try {
      const stat = readFileSync(`/proc/${member}/stat`, 'utf8')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      for (const field of fields.slice(11, 15)) ticks += Number(field)
    } catch {
      // The process has ended.
    }
  }
  return ticks * 10_000
}

/**
 * The CPU time of all threads of these process families so far, in microseconds, exact to the nanosecond. That of processes
 * and threads which ended is missing.
 */
export function threadMicros(pids: readonly number[]): number {
  let nanos = 0
  for (const pid of pids.flatMap(family)) {
    try {
      for (const thread of readdirSync(`/proc/${pid}/task`))
        nanos += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0])
    } catch {
      // The process has ended.
    }
  }
  return nanos / 1000
}

export type Server = { pid: number; stop(): Promise<void> }

/** Starts the built server, as in production. */
export async function startServer(
  env: Record<string, string>,
  ready: (line: string) => boolean,
  nodeOptions: string[] = [],
): Promise<Server> {
  const child = spawn(process.execPath, [...nodeOptions, join(root, 'dist/src/main.js'), 'serve'], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await new Promise<void>((resolve, reject) => {
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      const lines = text.split('\n')
      text = lines.pop() ?? ''
      if (lines.some(ready)) resolve()
      for (const line of lines) if (line.includes('"level":"error"')) process.stderr.write(`${line}\n`)
    })
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
  })
  return {
    pid: child.pid ?? 0,
    async stop() {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
    },
  }
}

/** Runs the load in its own process. `onCounting` is called when the warm-up is over. */
export async function load(job: LoadJob, onCounting: () => void): Promise<LoadResult> {
  const folder = await mkdtemp(join(tmpdir(), 'purser-bench-'))
  const file = join(folder, 'job.json')
  await writeFile(file, JSON.stringify(job))
  const child: ChildProcess = fork(join(root, 'bench/load.ts'), [file], { execArgv: ['--import', 'tsx'] })
  try {
    return await new Promise<LoadResult>((resolve, reject) => {
      child.on('message', (message: 'counting' | { result: LoadResult }) => {
        if (message === 'counting') onCounting()
        else resolve(message.result)
      })
      child.once('exit', (code) => reject(new Error(`the load ended with ${code}`)))
    })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

/** @returns the URL of a new database; without TLS, which libpq's clients would try first */
export async function freeDatabase(postgresUrl: string, name: string): Promise<string> {
  const client = new Client({ connectionString: postgresUrl })
  await client.connect()
  await client.query(`create database ${name}`)
  await client.end()
  const url = new URL(postgresUrl)
  url.pathname = `/${name}`
  url.searchParams.set('sslmode', 'disable')
  return url.toString()
}

/** Starts a peer and waits until it is up. */
export async function startPeer(
  binary: string,
  flags: string[],
  isUp: () => boolean | Promise<boolean>,
): Promise<() => Promise<void>> {
  const child = spawn(binary, flags, { stdio: ['ignore', 'ignore', 'pipe'] })
  let text = ''
  child.stderr.on('data', (chunk: Buffer) => (text = (text + chunk.toString()).slice(-4_000)))
  const exited = once(child, 'exit')
  for (let tries = 0; ; tries++) {
    if (child.exitCode !== null || tries === 300) throw new Error(`${binary} did not start: ${text}`)
    if (await Promise.resolve(isUp()).catch(() => false)) break
    await pause(100)
  }
  return async () => {
    child.kill('SIGTERM')
    await exited
  }
}
