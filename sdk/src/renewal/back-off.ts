/** Pauses after failures, for renewal and for requests of tokens meanwhile. */
import { PurserError, isAway } from '../errors.ts'
import type { HeldCredentials } from './held-credentials.ts'

export type BackOff = ReturnType<typeof createBackOff>

type Parts = { held: Pick<HeldCredentials, 'leftMs'>; elapsed: () => number; random: () => number }

/** Milliseconds. Purser may be back at any moment; a refusal lasts until an operator acts. */
const delays = { away: { min: 1_000, max: 30_000 }, refused: { min: 5_000, max: 60_000 } }
/** A server whose credentials are always due must not be called in a tight loop. */
const minPauseMs = 1_000
/** Caps Retry-After where no credential expires meanwhile. */
const maxRequestedMs = 60_000

export function createBackOff({ held, elapsed, random }: Parts) {
  let failures = 0
  /** By `elapsed`. */
  let since = -Infinity
  let until = -Infinity
  let lastError: PurserError | undefined

  /** Exponential, with jitter; never so long that credentials expire although Purser is back. */
  function delayFor(error: unknown): number {
    const { min, max } = isRefusal(error) ? delays.refused : delays.away
    const remainingMs = held.leftMs()
    const limit = Math.min(max, Math.max(remainingMs > 0 ? remainingMs / 5 : max / 3, min))
    const delay = Math.min(min * 2 ** Math.min(failures - 1, 16), limit) * (0.5 + random() / 2)
    const requestedMs = error instanceof PurserError ? (error.retryAfterSeconds ?? 0) * 1_000 : 0
    return Math.max(
      delay,
      Math.min(requestedMs, remainingMs > 0 && Number.isFinite(remainingMs) ? remainingMs / 2 : maxRequestedMs),
    )
  }

  /** The machine may have slept meanwhile, so that the credentials have expired. */
  const end = (): number => (held.leftMs() > 0 ? until : Math.min(until, since + maxRequestedMs))
  /** Milliseconds until the next attempt; 0 or less: now. */
  const leftMs = (): number => end() - elapsed()
  return {
    leftMs,
    /** Why Purser should not be called now for any purpose; undefined if it may be. */
    reason: () => (leftMs() > 0 && isAway(lastError) ? lastError : undefined),
    failed: (error: unknown): void => {
      failures++
      lastError = error instanceof PurserError ? error : undefined
      since = elapsed()
      until = since + delayFor(error)
    },
    /** Purser answered as it should. */
    reached: (): void => {
      if (!isAway(lastError)) return
      failures = 0
      lastError = undefined
      until = -Infinity
    },
    /** The due credentials were renewed. */
    renewed: (): void => {
      failures = 0
      lastError = undefined
      since = elapsed()
      until = since + minPauseMs
    },
  }
}

const isRefusal = (error: unknown): boolean =>
  error instanceof PurserError && error.status !== undefined && error.status < 500 && !isAway(error)
