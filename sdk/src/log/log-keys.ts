import { PurserError } from '../errors.ts'
import type { Kept } from '../state/head-file.ts'
import type { ServerInfo } from '../connection/server-info.ts'
import { VerifyError } from '../verify/errors.ts'
import { parseVkey } from '../verify/vkey.ts'
import type { Choice } from '../types/purser.ts'

/** The keys that the log is verified with, for the life of the client. */
export type LogKeys = Choice & {
  vkeys: string[]
  /** False where the server itself said the key, now or on an earlier start. */
  pinned: boolean
  warning?: string
}

const nameOf = (vkey: string): string | undefined => {
  try {
    return parseVkey(vkey).name
  } catch (error) {
    if (error instanceof VerifyError) return undefined
    throw error
  }
}

/**
 * The order is: what was given, what was kept from an earlier start, what the verified server says (trust on first use).
 * @throws PurserError `no_log_key`
 */
export function chooseLogKeys(given: readonly string[], kept: Kept | undefined, info: ServerInfo): LogKeys {
  const origin = `${info.trustDomain}/log/${info.epoch}`
  if (given.length > 0) {
    if (!given.some((vkey) => nameOf(vkey) === origin)) {
      throw new PurserError(
        'no_log_key',
        `the given log key is of ${given.map(nameOf).join(', ')}, and the server's log is ${origin}. Compare with ` +
          "an auditor what happened, and give the new log's key (logKey, PURSER_LOG_KEY) beside the old one",
      )
    }
    return { about: 'log key', chosen: given.join(', '), dismissed: [], vkeys: [...given], pinned: true }
  }
  const dismissed = ['neither the option logKey nor PURSER_LOG_KEY is given']
  if (kept) {
    const chosen = `${kept.vkeys.join(', ')} (kept since the first use)`
    return { about: 'log key', chosen, dismissed, vkeys: kept.vkeys, pinned: false }
  }
  const vkeys = info.logKeys.filter((vkey) => nameOf(vkey) === origin)
  if (vkeys.length === 0)
    throw new PurserError('no_log_key', `the server names no key of its log ${origin}; give one (PURSER_LOG_KEY)`)
  const warning = `trust on first use: the key of the log was taken from the server that it accounts for. Pin it: PURSER_LOG_KEY=${vkeys.join(',')}`
  return {
    about: 'log key',
    chosen: `${vkeys.join(', ')} (trust on first use)`,
    dismissed,
    vkeys,
    pinned: false,
    warning,
  }
}
