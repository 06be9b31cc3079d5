/** How long a certificate that was presented for renewal may be presented again, by two clocks. */
import type { KeyObject } from 'node:crypto'

export type Clocks = {
  now: () => Date
  /** Milliseconds of a clock that setting the machine's clock does not move: performance.now(). */
  elapsed: () => number
}

/** @property key the key to certify; without a local key, a repetition would be another request */
export type FirstSent = { at: Date; elapsed: number; key: KeyObject | undefined }

/** The server accepts a spent serial number again for the same key within 60 s, since an answer may get lost. */
const repeatMs = 50_000

export const sentNow = ({ now, elapsed }: Clocks, key: KeyObject | undefined): FirstSent => ({
  at: now(),
  elapsed: elapsed(),
  key,
})

/** Sent by an earlier process, so only the wall clock counts; a time in the future means that the window is over. */
export function sentBefore(at: Date, { now, elapsed }: Clocks, key: KeyObject | undefined): FirstSent {
  const agoMs = now().getTime() - at.getTime()
  return { at, elapsed: agoMs < 0 ? -Infinity : elapsed() - agoMs, key }
}

/**
 * @returns milliseconds, by the clock that shows more: the wall clock may be set back, and the other stops while a machine
 *   sleeps (CLOCK_MONOTONIC, clock_gettime(2))
 */
export const leftToRepeat = (sent: FirstSent, { now, elapsed }: Clocks): number =>
  repeatMs - Math.max(elapsed() - sent.elapsed, now().getTime() - sent.at.getTime())
