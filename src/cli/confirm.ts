/** Confirmation of what cannot be undone: a person types the name of it. */
import { createInterface } from 'node:readline'
import { CliError, type Io, exitCodes, usageError } from './io.ts'
import { printable } from './output.ts'

/** @throws CliError where another name is typed, or there is no terminal */
export async function confirmName(io: Pick<Io, 'stdin' | 'stderr'>, name: string): Promise<void> {
  if (!io.stdin.isTTY) throw usageError('stdin is no terminal to confirm on: add --yes')
  io.stderr.write(`Type ${printable(name)} to confirm: `)
  const lines = createInterface({ input: io.stdin })
  try {
    for await (const line of lines) {
      if (line.trim() === name) return
      break
    }
  } finally {
    lines.close()
  }
  throw new CliError('not confirmed: nothing was changed', exitCodes.usage)
}
