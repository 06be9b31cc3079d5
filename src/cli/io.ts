/** A verb's access to the process. main.ts provides it; tests provide their own. */
import type { Readable, Writable } from 'node:stream'

export type Io = {
  argv: string[]
  env: Record<string, string | undefined>
  stdin: Readable & { isTTY?: boolean }
  stdout: Writable & { isTTY?: boolean; columns?: number }
  stderr: Writable & { isTTY?: boolean }
  readFile: (path: string) => string
  pid: number
  /** Sends a signal to the process group that a child leads; a group that is gone is ignored. */
  signalGroup: (pid: number, name: NodeJS.Signals) => void
  onSignal: (names: readonly NodeJS.Signals[], listener: (name: NodeJS.Signals) => void) => void
}

/** Exit codes that scripts can use. `docs/cli.md` lists them. */
export const exitCodes = {
  ok: 0,
  /** A failure without a code of its own. */
  failed: 1,
  /** The command or the configuration is invalid: nothing was done. */
  usage: 2,
  /** The server refused; the output has the code. */
  refused: 3,
  /** A proof does not verify: it was tampered with, or belongs to another log. */
  unverified: 4,
  /** The server or its database cannot be reached. */
  unreachable: 5,
} as const

/** Ends a verb with a message for people and an exit code for scripts. */
export class CliError extends Error {
  readonly exitCode: number
  /** The code of the server's refusal. */
  readonly code: string | undefined
  constructor(message: string, exitCode: number = exitCodes.failed, code?: string) {
    super(message)
    this.name = 'CliError'
    this.exitCode = exitCode
    this.code = code
  }
}

/** The command line or a setting is wrong: nothing was done. */
export const usageError = (message: string): CliError => new CliError(message, exitCodes.usage)

/** The code of an error of Node.js or a library, such as `ENOENT`. */
export const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

/** Ends a verb with an exit code and without a message, such as that of its child process. */
export class Ended extends Error {
  readonly exitCode: number
  constructor(exitCode: number) {
    super('the command ended')
    this.name = 'Ended'
    this.exitCode = exitCode
  }
}
