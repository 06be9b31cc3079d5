/** `purser` as a process of its own, as in production. */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { builtMain } from './main.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

type Ended = { code: number | null; signal: NodeJS.Signals | null }

export type PurserProcess = {
  child: ChildProcess
  /** Its output so far. */
  out: () => string
  err: () => string
  /** Resolves once its log has this number of lines of the event; rejects when the process ends before. */
  says(event: string, times?: number): Promise<Record<string, unknown>[]>
  ended: Promise<Ended>
}

/** The process is killed with the test, whatever its state. */
export function spawnPurser(argv: string[], env: Record<string, string>): PurserProcess {
  const child = spawn(process.execPath, [builtMain(), ...argv], { cwd: root, env: { PATH: process.env.PATH, ...env } })
  let [out, err] = ['', '']
  const waiting = new Set<() => void>()
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
    for (const look of waiting) look()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  // Not `exit`: surviving workers keep the streams open.
  const ended = new Promise<Ended>((resolve) => child.once('close', (code, signal) => resolve({ code, signal })))
  onTestFinished(() => void child.kill('SIGKILL'))

  const lines = (event: string): Record<string, unknown>[] =>
    out
      .split('\n')
      .slice(0, -1)
      .map((line): Record<string, unknown> => JSON.parse(line))
      .filter((line) => line['event'] === event)
  return {
    child,
    out: () => out,
    err: () => err,
    says: (event, times = 1) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const matches = lines(event)
          if (matches.length < times) return
          waiting.delete(look)
          resolve(matches)
        }
        waiting.add(look)
        look()
        void ended.then(({ code }) => reject(new Error(`it ended with ${code}: ${out}${err}`)))
      }),
    ended,
  }
}
