/**
 * What ends things by their time waits while this machine's clock is not the database's: a replica whose clock jumped a day
 * ahead would end every lease, every rotation and every session's consumers of all the others.
 */
import type { Job } from './runner.ts'

/** Further apart, and one of the two is wrong. Purser's own times are seconds at the least, and pauses are no jump. */
const maxApartMs = 60_000
/** Several jobs run each second: they share an answer. */
const goodForMs = 900

class ClockError extends Error {
  /** Our own words: a log may show them. */
  readonly safeToLog = true
  constructor(seconds: number) {
    super(
      `the clock is ${Math.abs(seconds)} s ${seconds > 0 ? 'ahead of' : 'behind'} the database's: nothing is ended by its time until they agree`,
    )
    this.name = 'ClockError'
  }
}

type Parts = {
  /** What the database says the time is. */
  read: () => Promise<Date>
  now: () => Date
  /** Milliseconds of a clock that is never set back. */
  clock: () => number
}

/** @returns throws unless the two agree */
export function createClockCheck({ read, now, clock }: Parts): () => Promise<void> {
  let agreed = { at: -Infinity, wall: 0 }
  /** Since they agreed, both of this machine's clocks went the same way: one that was set is asked about at once. */
  const isSteady = (): boolean =>
    Math.abs(now().getTime() - agreed.wall - (clock() - agreed.at)) < maxApartMs && clock() - agreed.at < goodForMs
  return async () => {
    if (isSteady()) return
    const before = now().getTime()
    const theirs = (await read()).getTime()
    const apart = before - theirs
    // The question may have waited: what lies between asking and hearing is nobody's fault.
    const waited = Math.max(0, now().getTime() - before)
    if (apart > maxApartMs || apart < -(maxApartMs + waited)) throw new ClockError(Math.round(apart / 1000))
    agreed = { at: clock(), wall: now().getTime() }
  }
}

/**
 * The same job, where it may act.
 * @param may false while nothing outside may be touched: a database that was put back, or a copy of one, knows nothing of
 * the roles that were made since. Throws where the clock is wrong.
 */
export const byTime = (job: Job, may: () => Promise<boolean>): Job => ({
  name: job.name,
  everySeconds: job.everySeconds,
  async run() {
    if (await may()) await job.run()
  },
})
