/** Whether Purser is there, as told to whoever listens: once when it goes, and once when it is back. */
import type { BackOff } from './back-off.ts'
import { type PurserError, isAway, isSuspect } from '../errors.ts'
import type { Emitter } from '../events/emitter.ts'

export type Presence = {
  failed(failure: PurserError): void
  answered(): void
}

type Parts = {
  backOff: BackOff
  emit: Emitter['emit']
  /** Why the identity that is held could not be renewed at the start; undefined where it was. */
  away: PurserError | undefined
  warn: (warning: string) => void
  elapsed: () => number
}

export function createPresence({ backOff, emit, away, warn, elapsed }: Parts): Presence {
  let awaySince = away && elapsed()
  /** What was warned of since Purser was reached last. */
  const suspected = new Set<string>()
  if (away) backOff.failed(away)

  function answered(): void {
    suspected.clear()
    backOff.reached()
    if (awaySince === undefined) return
    const afterMs = elapsed() - awaySince
    awaySince = undefined
    emit('reconnected', { afterMs })
  }

  return {
    answered,
    failed(failure) {
      if (failure.heads) emit('fork', { error: failure, heads: failure.heads })
      if (!isAway(failure)) {
        // Not by a proof that was not found, for example.
        if (failure.status !== undefined || failure.heads) answered()
        return
      }
      backOff.failed(failure)
      if (isSuspect(failure) && !suspected.has(failure.code)) {
        suspected.add(failure.code)
        warn(`what is held goes on to serve until it ends, and can't be renewed. ${failure.message}`)
      }
      if (awaySince !== undefined) return
      awaySince = elapsed()
      emit('disconnected', { error: failure })
    },
  }
}
