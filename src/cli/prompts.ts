/** Reads what a person types, without echo: passwords and codes. From a pipe, one line for each prompt. */
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { type Io, usageError } from './io.ts'

export type Prompts = {
  /** @throws CliError where the input ends */
  hidden(prompt: string): Promise<string>
  /** Whether a person types. */
  isTyped: boolean
}

export async function withPrompts<T>(
  io: Pick<Io, 'stdin' | 'stderr'>,
  work: (prompts: Prompts) => Promise<T>,
): Promise<T> {
  const isTyped = io.stdin.isTTY === true
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  // As a terminal, readline turns the echo off until it is closed.
  const lines = createInterface({ input: io.stdin, ...(isTyped && { output: nowhere, terminal: true }) })
  lines.once('SIGINT', () => lines.close())
  const iterator = lines[Symbol.asyncIterator]()
  try {
    return await work({
      isTyped,
      async hidden(prompt) {
        if (isTyped) io.stderr.write(prompt)
        const { value, done } = await iterator.next()
        if (isTyped) io.stderr.write('\n')
        if (done || value === '') throw usageError('no input: nothing was changed')
        return value
      },
    })
  } finally {
    lines.close()
  }
}
