import { PurserError } from '../errors.ts'
import type { StoredHead } from '../state/head-file.ts'
import type { ServerInfo } from '../connection/server-info.ts'
import { VerifyError } from '../verify/errors.ts'
import { parseVkey } from '../verify/vkey.ts'
import type { Choice } from '../types/purser.ts'

/** The keys that verify the log. */
export type LogKeys = Choice & {
  vkeys: string[]
  /** False if the server itself named the key, now or at an earlier start. */
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
 * The order is: configured keys, stored keys of an earlier start, the verified server's keys (trust on first use).
 * @throws PurserError `no_log_key`
 */
export function chooseLogKeys(
  configured: readonly string[],
  stored: StoredHead | undefined,
  info: ServerInfo,
): LogKeys {
  const origin = `${info.trustDomain}/log/${info.epoch}`
  if (configured.length > 0) {
    if (!configured.some((vkey) => nameOf(vkey) === origin)) {
      throw new PurserError(
        'no_log_key',
        `the configured log key is of ${configured.map(nameOf).join(', ')}, but the server's log is ${origin}. Ask an ` +
          "auditor what happened, then add the new log's key (logKey, PURSER_LOG_KEY) to the old one",
      )
    }
    return { about: 'log key', chosen: configured.join(', '), dismissed: [], vkeys: [...configured], pinned: true }
  }
  const dismissed = ['neither the option logKey nor PURSER_LOG_KEY is given']
  if (stored) {
    const chosen = `${stored.vkeys.join(', ')} (stored at the first use)`
    return { about: 'log key', chosen, dismissed, vkeys: stored.vkeys, pinned: false }
  }
  const vkeys = info.logKeys.filter((vkey) => nameOf(vkey) === origin)
  if (vkeys.length === 0)
    throw new PurserError('no_log_key', `the server names no key of its log ${origin}; set PURSER_LOG_KEY`)
  const warning = `trust on first use: the log's key comes from the server that the log records. Pin it: PURSER_LOG_KEY=${vkeys.join(',')}`
  return {
    about: 'log key',
    chosen: `${vkeys.join(', ')} (trust on first use)`,
    dismissed,
    vkeys,
    pinned: false,
    warning,
  }
}
