/** When the next rotation of a policy begins: by a cron expression in a time zone, plus a random delay. */
import { Cron } from 'croner'
import type { Problem } from '../../errors.ts'

export type Schedule = {
  /** Five fields: minute, hour, day of the month, month, day of the week. */
  cron: string
  /** An IANA name; UTC by default. */
  timeZone?: string
  /** A rotation that cannot begin within this time is skipped, and recorded. */
  windowSeconds?: number
  /** The beginning is random within this time, so that policies with one expression do not all begin at once. */
  jitterSeconds?: number
}

const fiveFields = /^[0-9A-Za-z*,/#-]+(?: [0-9A-Za-z*,/#-]+){4}$/

/** A time that the clocks skip runs right after the gap; a repeated one runs once, except for intervals. */
const cronOf = ({ cron, timeZone = 'UTC' }: Schedule): Cron =>
  new Cron(cron, { timezone: timeZone, mode: '5-part', paused: true })

export function checkSchedule(schedule: Schedule, now: Date): Problem[] {
  const { cron, timeZone = 'UTC', windowSeconds, jitterSeconds = 0 } = schedule
  if (!isTimeZone(timeZone))
    return [{ pointer: '/timeZone', detail: 'must be an IANA time zone such as Europe/Berlin' }]
  const invalid = [{ pointer: '/cron', detail: 'must be five cron fields such as 30 3 * * 1' }]
  if (!fiveFields.test(cron)) return invalid
  try {
    if (!cronOf(schedule).nextRun(now)) return [{ pointer: '/cron', detail: 'names no day that ever comes' }]
  } catch {
    return invalid
  }
  if (windowSeconds !== undefined && jitterSeconds > windowSeconds)
    return [{ pointer: '/jitterSeconds', detail: 'must not be more than windowSeconds' }]
  return []
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).format(0) !== ''
  } catch {
    return false
  }
}

/** The next beginning after a time; undefined where there is none. */
export function nextRun(schedule: Schedule, after: Date, randomBytes: (size: number) => Buffer): Date | undefined {
  const run = cronOf(schedule).nextRun(after)
  if (!run) return undefined
  const jitter = (randomBytes(4).readUInt32BE() / 2 ** 32) * (schedule.jitterSeconds ?? 0)
  return new Date(run.getTime() + Math.floor(jitter) * 1000)
}
