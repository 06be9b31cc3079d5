/** Delays of background work after failures: exponential, and random, so that clients do not retry in step. */
import { PurserError, isAway } from '../errors.ts'

/** Milliseconds. A refusal lasts until an operator acts. */
const delays = { away: { min: 500, max: 30_000 }, refused: { min: 5_000, max: 60_000 } }
/** Caps Retry-After, milliseconds. */
const maxRequestedMs = 60_000

/**
 * @param failures in a row, including this one
 * @returns milliseconds
 */
export function delayAfter(error: unknown, failures: number, random: () => number): number {
  const { min, max } = isAway(error) || !(error instanceof PurserError) ? delays.away : delays.refused
  const delay = Math.min(min * 2 ** Math.min(failures - 1, 16), max) * (0.5 + random() / 2)
  const requestedMs = error instanceof PurserError ? (error.retryAfterSeconds ?? 0) * 1_000 : 0
  return Math.max(delay, Math.min(requestedMs, maxRequestedMs))
}

/** Resolves after the time, or when the signal fires. It does not keep the process alive. */
export const sleep = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms).unref()
    if (signal.aborted) done()
    else signal.addEventListener('abort', done, { once: true })
  })
