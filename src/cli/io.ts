/** What a verb has of the process: handed in by main.ts, so that tests can hand in their own. */
import type { Readable, Writable } from 'node:stream'

export type Io = {
  argv: string[]
  env: Record<string, string | undefined>
  stdin: Readable & { isTTY?: boolean }
  stdout: Writable & { isTTY?: boolean; columns?: number }
  stderr: Writable
  readFile: (path: string) => string
  pid: number
  /** Sends a signal to the process group that a child of ours leads; one that is gone is none of our concern. */
  signalGroup: (pid: number, name: NodeJS.Signals) => void
  onSignal: (names: readonly NodeJS.Signals[], listener: (name: NodeJS.Signals) => void) => void
}

/** Exit codes that scripts can use. `docs/cli.md` lists them. */
export const exitCodes = {
  ok: 0,
  /** Something failed that none of the others names. */
  failed: 1,
  /** The command or the configuration is wrong: nothing was tried. */
  usage: 2,
  /** The server refused: the code is in the output. */
  refused: 3,
  /** A proof does not verify: tampering, or another log's. */
  unverified: 4,
  /** The server or its database can't be reached. */
  unreachable: 5,
} as const

/** Ends a verb with words for the person and a code for the script. */
export class CliError extends Error {
  readonly exitCode: number
  /** The server's code, where it refused. */
  readonly code: string | undefined
  constructor(message: string, exitCode: number = exitCodes.failed, code?: string) {
    super(message)
    this.name = 'CliError'
    this.exitCode = exitCode
    this.code = code
  }
}
