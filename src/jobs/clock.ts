/**
 * Jobs that end something by its time wait while this machine's clock differs from the database's: a replica whose clock is
 * a day ahead would end every lease and every rotation.
 */
import type { Job } from './runner.ts'

/** A larger difference means that one of the clocks is wrong. */
const maxApartMs = 60_000
/** Several jobs run each second: they share a reading. */
const cacheMs = 900

class ClockError extends Error {
  /** Purser's own words: a log may show them. */
  readonly safeToLog = true
  constructor(seconds: number) {
    super(
      `the clock is ${Math.abs(seconds)} s ${seconds > 0 ? 'ahead of' : 'behind'} the database's: nothing is ended by its time until they agree`,
    )
    this.name = 'ClockError'
  }
}

type Parts = {
  /** The clock of the database. */
  read: () => Promise<Date>
  now: () => Date
  /** Milliseconds of a clock that is never set back. */
  clock: () => number
}

/** @returns a check that throws where the clocks differ */
export function createClockCheck({ read, now, clock }: Parts): () => Promise<void> {
  let agreed = { at: -Infinity, wall: 0 }
  /** Whether this machine's two clocks have advanced alike since the last reading: a clock that was set is checked at once. */
  const isSteady = (): boolean =>
    Math.abs(now().getTime() - agreed.wall - (clock() - agreed.at)) < maxApartMs && clock() - agreed.at < cacheMs
  return async () => {
    if (isSteady()) return
    const before = now().getTime()
    const database = (await read()).getTime()
    const apart = before - database
    // The query may have waited: its duration is not a difference.
    const elapsedMs = Math.max(0, now().getTime() - before)
    if (apart > maxApartMs || apart < -(maxApartMs + elapsedMs)) throw new ClockError(Math.round(apart / 1000))
    agreed = { at: clock(), wall: now().getTime() }
  }
}

/**
 * Runs a job only where it may act.
 * @param may false while nothing outside may be changed: a database that was restored or copied knows nothing of roles that
 * were created since. Throws where the clock is wrong.
 */
export const byTime = (job: Job, may: () => Promise<boolean>): Job => ({
  name: job.name,
  everySeconds: job.everySeconds,
  async run() {
    if (await may()) await job.run()
  },
})
