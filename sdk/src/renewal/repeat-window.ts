/** When a certificate was first presented to be renewed, by two clocks: for how long it may be presented again. */
import type { KeyObject } from 'node:crypto'

export type Clocks = {
  now: () => Date
  /** Milliseconds of a clock that nobody sets: performance.now(). */
  elapsed: () => number
}

/** @property key that was to be certified; without one of our own a repeated request would be another one */
export type Sent = { at: Date; elapsed: number; key: KeyObject | undefined }

/** The server serves a spent serial number again for the same key within 60 s (DESIGN.md, Attestation). */
const repeatMs = 50_000

export const sentNow = ({ now, elapsed }: Clocks, key: KeyObject | undefined): Sent => ({
  at: now(),
  elapsed: elapsed(),
  key,
})

/** By an earlier process, of which only the clock on the wall tells; a time that is still to come tells nothing. */
export function sentBefore(at: Date, { now, elapsed }: Clocks, key: KeyObject | undefined): Sent {
  const ago = now().getTime() - at.getTime()
  return { at, elapsed: ago < 0 ? -Infinity : elapsed() - ago, key }
}

/**
 * Milliseconds. The clock that says more counts: one on the wall is set back, and the other stands still while a machine
 * sleeps (CLOCK_MONOTONIC, clock_gettime(2)).
 */
export const leftToRepeat = (sent: Sent, { now, elapsed }: Clocks): number =>
  repeatMs - Math.max(elapsed() - sent.elapsed, now().getTime() - sent.at.getTime())
