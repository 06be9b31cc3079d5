/** What attestors are made with, whatever their kind. */
import type { Logger } from '../telemetry/log.ts'
import type { Fetch } from './key-source.ts'

export type AttestorParts = {
  outbound: Fetch
  /** Milliseconds, of a clock that is never set back: pauses and the age of keys. */
  clock: () => number
  /** A token file or a CA that an operator named; read at each use, since the kubelet renews them. */
  readFile: (path: string) => Promise<string>
  log: Pick<Logger, 'info' | 'warn'>
  /** For how long an issuer's keys count while it can't be reached; a day unless given. */
  keepKeysSeconds?: number
}
