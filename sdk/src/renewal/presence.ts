/** Reports once when Purser becomes unreachable, and once when it is back. */
import { type PurserError, isAway, isSuspect } from '../errors.ts'
import type { Emitter } from '../events/emitter.ts'
import type { BackOff } from './back-off.ts'

type Parts = {
  backOff: BackOff
  emit: Emitter['emit']
  /** Why the stored identity could not be renewed at the start; undefined if it was. */
  away: PurserError | undefined
  warn: (warning: string) => void
  elapsed: () => number
}

export function createPresence({ backOff, emit, away, warn, elapsed }: Parts) {
  let awaySince = away && elapsed()
  /** Codes of the warnings since the last answer. */
  const warnedOf = new Set<string>()
  if (away) backOff.failed(away)

  function answered(): void {
    warnedOf.clear()
    backOff.reached()
    if (awaySince === undefined) return
    const afterMs = elapsed() - awaySince
    awaySince = undefined
    emit('reconnected', { afterMs })
  }

  return {
    answered,
    failed(failure: PurserError): void {
      if (failure.heads) emit('fork', { error: failure, heads: failure.heads })
      if (!isAway(failure)) {
        // A local failure, such as a missing proof, is no answer.
        if (failure.status !== undefined || failure.heads) answered()
        return
      }
      backOff.failed(failure)
      if (isSuspect(failure) && !warnedOf.has(failure.code)) {
        warnedOf.add(failure.code)
        warn(`the current credentials can't be renewed, and stay in use until they expire. ${failure.message}`)
      }
      if (awaySince !== undefined) return
      awaySince = elapsed()
      emit('disconnected', { error: failure })
    },
  }
}
