/**
 * The remaining lifetime of something that was received, counted from its receipt. So it depends neither on the
 * difference between this machine's clock and the server's, nor on later changes of this machine's clock.
 */
export type Clocks = {
  /** The wall clock, milliseconds. */
  now: () => number
  /** A clock that no one can set, and that stops while the machine sleeps (CLOCK_MONOTONIC, clock_gettime(2)). */
  elapsed: () => number
}

export type Lifetime = {
  /** Milliseconds at the receipt. */
  lifeMs: number
  /** By the clock that shows more: one may have been set back, the other may have stopped. */
  ageMs: () => number
  leftMs: () => number
}

/**
 * @param end by the server's clock
 * @param serverTime the server's clock at the receipt
 */
export function lifetimeFrom({ now, elapsed }: Clocks, end: number, serverTime: number): Lifetime {
  const receivedAt = { wall: now(), elapsed: elapsed() }
  const lifeMs = end - serverTime
  const ageByWall = (): number => now() - receivedAt.wall
  const ageByElapsed = (): number => elapsed() - receivedAt.elapsed
  return {
    lifeMs,
    ageMs: () => Math.max(ageByElapsed(), ageByWall()),
    // After a sleep, the wall clock shows both that the lifetime has passed and that the end is over. After a correction
    // of a slow clock, it shows only the first.
    leftMs: () => Math.min(lifeMs - ageByElapsed(), Math.max(lifeMs - ageByWall(), end - now())),
  }
}

/**
 * Estimates the server's clock: this machine's clock as far as the Date header agrees (RFC 9110 section 6.6.1: whole
 * seconds, rounded down), else the latest time that the header allows.
 * @param tookMs since the request was sent
 */
export function serverTime(date: string | undefined, now: number, tookMs: number): number {
  const earliest = Date.parse(date ?? '')
  if (Number.isNaN(earliest)) return now
  return Math.min(Math.max(now, earliest), earliest + 1_000 + tookMs)
}

/**
 * A clock in milliseconds that setting the machine's clock does not move: for ages and pauses. Only values that carry a
 * time (exp, iat, notAfter) are compared with the wall clock.
 */
export const elapsedMs = (): number => performance.now()
