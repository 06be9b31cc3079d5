/**
 * For how long something that was received is still good, counted from its receipt: whether the clock on the wall is
 * that of the server doesn't matter then, nor that somebody sets it.
 */
export type Clocks = {
  /** The clock on the wall. */
  now: () => number
  /** One that nobody sets, which stands still while the machine sleeps (CLOCK_MONOTONIC, clock_gettime(2)). */
  elapsed: () => number
}

export type Lifetime = {
  /** Milliseconds, when it was received. */
  lifeMs: number
  /** By the clock that says more: one may have been set back, and the other have stood still. */
  ageMs: () => number
  leftMs: () => number
}

/**
 * @param end by the server's clock
 * @param serverTime what that clock said at the receipt
 */
export function lifetimeFrom({ now, elapsed }: Clocks, end: number, serverTime: number): Lifetime {
  const got = { wall: now(), elapsed: elapsed() }
  const lifeMs = end - serverTime
  const byWall = (): number => now() - got.wall
  const byElapsed = (): number => elapsed() - got.elapsed
  return {
    lifeMs,
    ageMs: () => Math.max(byElapsed(), byWall()),
    // After a sleep the wall says both that the time is over and that the end has come; where a clock that was behind
    // was set right, only the first.
    leftMs: () => Math.min(lifeMs - byElapsed(), Math.max(lifeMs - byWall(), end - now())),
  }
}

/**
 * What the server's clock says now. Ours is believed as far as the Date header allows (RFC 9110 section 6.6.1: whole
 * seconds, rounded down), and else the latest that it can be.
 * @param tookMs since the request was sent
 */
export function serverTime(date: string | undefined, now: number, tookMs: number): number {
  const earliest = Date.parse(date ?? '')
  if (Number.isNaN(earliest)) return now
  return Math.min(Math.max(now, earliest), earliest + 1_000 + tookMs)
}

/**
 * A clock that setting the machine's clock does not move, in milliseconds: for ages and pauses. Only values that carry a
 * time (exp, iat, notAfter) are compared with the wall clock.
 */
export const elapsedMs = (): number => performance.now()
