/** A clock that stands still until a test advances it. */
export type Clock = {
  now: () => Date
  /** Whole seconds since 1970, as in JWTs. */
  seconds: () => number
  advance: (seconds: number) => void
}

export function createClock(start: Date = new Date()): Clock {
  let time = Math.floor(start.getTime() / 1000) * 1000
  return {
    now: () => new Date(time),
    seconds: () => time / 1000,
    advance: (seconds) => void (time += seconds * 1000),
  }
}
