/**
 * Milliseconds since some moment, which no setting of the machine's clock moves: for ages and pauses. Only what carries a
 * time of its own (exp, iat, notAfter) is held against the wall clock.
 */
export const elapsedMs = (): number => performance.now()
