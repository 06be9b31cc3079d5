/** The parts of every attestor. */
import type { Logger } from '../telemetry/log.ts'
import type { Fetch } from './key-source.ts'

export type AttestorParts = {
  outbound: Fetch
  /** Milliseconds, of a clock that is never set back. */
  clock: () => number
  /** Reads a token or CA file of the configuration at each use, since the kubelet renews them. */
  readFile: (path: string) => Promise<string>
  log: Pick<Logger, 'info' | 'warn'>
  /** How long cached keys are accepted while their issuer is unreachable. Default: a day. */
  keepKeysSeconds?: number
}
