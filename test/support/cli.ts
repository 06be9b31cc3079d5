/** The `purser` command in this process, with streams, environment and signals of the test's own. */
import { readFileSync } from 'node:fs'
import { Readable, Writable } from 'node:stream'
import { runCli } from '../../src/cli/program.ts'

export type Ran = { code: number; out: string; err: string }

type Options = {
  env?: Record<string, string | undefined>
  stdin?: string
  /** Called with what was written to stdout so far, each time that more is. */
  onOutput?: (out: string) => void
}

/** Runs one command line; `interrupt` is what Ctrl-C would be. */
export function startCli(argv: string[], options: Options = {}): { ran: Promise<Ran>; interrupt: () => void } {
  let [out, err] = ['', '']
  const listeners: (() => void)[] = []
  const sink = (take: (text: string) => void): Writable =>
    new Writable({
      write(chunk: Buffer, _, done) {
        take(chunk.toString())
        done()
      },
    })
  const code = runCli({
    argv,
    env: options.env ?? {},
    stdin: Readable.from(options.stdin === undefined ? [] : [options.stdin]),
    stdout: sink((text) => {
      out += text
      options.onOutput?.(out)
    }),
    stderr: sink((text) => (err += text)),
    readFile: (path) => readFileSync(path, 'utf8'),
    pid: process.pid,
    onSignal: (_, listener) => listeners.push(() => listener('SIGINT')),
  })
  return {
    ran: code.then((done) => ({ code: done, out, err })),
    interrupt: () => {
      for (const listener of listeners) listener()
    },
  }
}

export const cli = (argv: string[], options: Options = {}): Promise<Ran> => startCli(argv, options).ran
