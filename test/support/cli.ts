/** The `purser` command in this process, with streams, environment and signals of the test. */
import { readFileSync } from 'node:fs'
import { Readable, Writable } from 'node:stream'
import { runCli } from '../../src/cli/program.ts'

export type CommandResult = { code: number; out: string; err: string }

type Options = {
  env?: Record<string, string | undefined>
  /** A stream, where a test answers what it reads. */
  stdin?: string | Readable
  /** Whether stdin is a terminal. */
  typed?: true
  /** Receives the whole of stdout so far, after each write. */
  onOutput?: (out: string) => void
  /** Receives the whole of stderr so far. */
  onError?: (err: string) => void
}

type Started = {
  result: Promise<CommandResult>
  /** Acts like Ctrl-C. */
  interrupt: () => void
  signal: (name: NodeJS.Signals) => void
}

/** Runs one command line. */
export function startCli(argv: string[], options: Options = {}): Started {
  let [out, err] = ['', '']
  const listeners: { name: NodeJS.Signals; listener: (name: NodeJS.Signals) => void }[] = []
  const signal = (name: NodeJS.Signals): void => {
    for (const listener of listeners) if (listener.name === name) listener.listener(name)
  }
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
    stdin: Object.assign(inputOf(options.stdin), {
      ...(options.typed && { isTTY: true }),
    }),
    stdout: sink((text) => {
      out += text
      options.onOutput?.(out)
    }),
    stderr: sink((text) => {
      err += text
      options.onError?.(err)
    }),
    readFile: (path) => readFileSync(path, 'utf8'),
    pid: process.pid,
    signalGroup: (pid, name) => process.kill(-pid, name),
    onSignal: (names, listener) => listeners.push(...names.map((name) => ({ name, listener }))),
  })
  return {
    result: code.then((done) => ({ code: done, out, err })),
    interrupt: () => signal('SIGINT'),
    signal,
  }
}

function inputOf(stdin: string | Readable | undefined): Readable {
  if (stdin instanceof Readable) return stdin
  return Readable.from(stdin === undefined ? [] : [stdin])
}

export const cli = (argv: string[], options: Options = {}): Promise<CommandResult> => startCli(argv, options).result
