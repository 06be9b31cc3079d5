/** A Purser as in production: its own process, which can be killed, stopped and continued. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inject } from 'vitest'
import type { Target } from './connection.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

type Line = { event: string; level: string; listen?: string }

export type Replica = {
  name: string
  dataDir: string
  /** Its present address, which may change at a start. */
  target(): Target
  pid(): number
  running(): boolean
  /** Resolves when it is ready. */
  start(): Promise<void>
  /** SIGKILL. */
  kill(): Promise<void>
  /** Sends SIGTERM, and returns the exit code. */
  stop(): Promise<number | null>
  /** SIGSTOP and SIGCONT. */
  pause(): void
  resume(): void
  /** Lines of its server log, of all its processes. */
  lines: Line[]
  /** Its stderr: crashes, and Node's messages about unhandled rejections. */
  complaints: string[]
  /** Unexpected exits. */
  deaths: string[]
}

const children = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

export function createReplica(name: string, dataDir: string, env: Record<string, string>): Replica {
  let child: ChildProcess | undefined
  let isStopping = false
  let target: Target | undefined
  const lines: Line[] = []
  const complaints: string[] = []
  const deaths: string[] = []

  async function start(): Promise<void> {
    const [command = '', ...args] = inject('server')
    const started = spawn(command, [...args, 'serve'], {
      cwd: root,
      env: { PATH: process.env.PATH, PURSER_DATA_DIR: dataDir, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child = started
    children.add(started)
    isStopping = true
    started.stderr.setEncoding('utf8').on('data', (text: string) => complaints.push(text))
    await new Promise<void>((resolve, reject) => {
      let text = ''
      started.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        const parts = (text + chunk).split('\n')
        text = parts.pop() ?? ''
        for (const part of parts) {
          const line: Line = JSON.parse(part)
          lines.push(line)
          if (line.event !== 'server.ready' || line.listen === undefined) continue
          const { protocol, hostname, port } = new URL(line.listen)
          const roots = protocol === 'https:' ? readFileSync(join(dataDir, 'ca.pem'), 'utf8') : undefined
          target = { host: hostname, port: Number(port), ...(roots !== undefined && { roots }) }
          resolve()
        }
      })
      started.once('exit', (code, signal) => {
        children.delete(started)
        if (isStopping && child === started) deaths.push(`${name} ended by itself: ${code ?? signal}`)
        reject(new Error(`${name} ended with ${code ?? signal}: ${complaints.slice(-5).join('')}`))
      })
    })
  }

  async function end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    isStopping = false
    const ending = child
    child = undefined
    if (!ending || ending.exitCode !== null || ending.signalCode !== null) return ending?.exitCode ?? null
    const exit = once(ending, 'exit')
    ending.kill(signal)
    await exit
    return ending.exitCode
  }

  return {
    name,
    dataDir,
    target() {
      if (!target) throw new Error(`${name} was not started`)
      return target
    },
    pid: () => child?.pid ?? 0,
    running: () => child !== undefined,
    start,
    kill: async () => void (await end('SIGKILL')),
    stop: () => end('SIGTERM'),
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
    lines,
    complaints,
    deaths,
  }
}
