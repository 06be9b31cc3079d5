/** When a policy's next rotation begins: a cron expression read in a time zone, and a random delay after it. */
import { Cron } from 'croner'
import type { Problem } from '../../errors.ts'

export type Schedule = {
  /** Five fields: minute, hour, day of the month, month, day of the week. */
  cron: string
  /** An IANA name; UTC unless given. */
  timeZone?: string
  /** One that could not begin so long after its time is left out, and recorded. */
  windowSeconds?: number
  /** Begins at a random moment within this time, so that many policies with one expression don't begin at once. */
  jitterSeconds?: number
}

const fiveFields = /^[0-9A-Za-z*,/#-]+(?: [0-9A-Za-z*,/#-]+){4}$/

/** An hour that the clocks skip is made up for right after it; one that comes twice counts once, but for intervals. */
const cronOf = ({ cron, timeZone = 'UTC' }: Schedule): Cron =>
  new Cron(cron, { timezone: timeZone, mode: '5-part', paused: true })

export function checkSchedule(schedule: Schedule, now: Date): Problem[] {
  const { cron, timeZone = 'UTC', windowSeconds, jitterSeconds = 0 } = schedule
  if (!isTimeZone(timeZone))
    return [{ pointer: '/timeZone', detail: 'must be an IANA time zone such as Europe/Berlin' }]
  const wrong = [{ pointer: '/cron', detail: 'must be five cron fields such as 30 3 * * 1' }]
  if (!fiveFields.test(cron)) return wrong
  try {
    if (!cronOf(schedule).nextRun(now)) return [{ pointer: '/cron', detail: 'names no day that ever comes' }]
  } catch {
    return wrong
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

/** The next beginning after a time; nothing where none ever comes. */
export function nextRun(schedule: Schedule, after: Date, randomBytes: (size: number) => Buffer): Date | undefined {
  const run = cronOf(schedule).nextRun(after)
  if (!run) return undefined
  const jitter = (randomBytes(4).readUInt32BE() / 2 ** 32) * (schedule.jitterSeconds ?? 0)
  return new Date(run.getTime() + Math.floor(jitter) * 1000)
}
