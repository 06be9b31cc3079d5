/** Compares the clock of this host with the clocks of other hosts. */
import type { Fetch } from '../../attest/key-source.ts'
import type { Knex } from '../../store/database.ts'
import { readClock } from '../../store/postgres-facts.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

const check = 'clock'

/** The clock of another host. Milliseconds: by how much it is ahead of this host, and how exact that is. */
export type ClockReading = { where: string; ahead: number; uncertainty: number; attestor?: string }

const [warnMs, failMs] = [2_000, 30_000]

export function judgeClock(readings: readonly ClockReading[]): Finding[] {
  const findings = readings.flatMap(({ where, ahead, uncertainty, attestor }): Finding[] => {
    const deviation = Math.abs(ahead) - uncertainty
    if (deviation <= warnMs) return []
    const seconds = Math.round(Math.abs(ahead) / 1000)
    const whose = attestor === undefined ? where : `${where} (attestor ${attestor})`
    const what = `this host is ${seconds} s ${ahead > 0 ? 'behind' : 'ahead of'} ${whose}`
    const why = 'lifetimes are judged by clocks: proofs are refused, and credentials end early or late'
    const remedy = 'run timedatectl status (or chronyc tracking) on both, and correct the wrong clock'
    return [(deviation > failMs ? fail : warn)(check, what, { why, do: remedy })]
  })
  if (findings.length > 0 || readings.length === 0) return findings
  return [ok(check, `agrees with ${[...new Set(readings.map(({ where }) => where))].join(', ')}`)]
}

/** The database's clock, at the middle of the round trip. */
export async function readDatabaseClock(knex: Knex, now: () => Date): Promise<ClockReading> {
  const before = now().getTime()
  const time = (await readClock(knex)).getTime()
  const after = now().getTime()
  return { where: 'the database', ahead: time - (before + after) / 2, uncertainty: (after - before) / 2 }
}

/** Reads a Date header (RFC 9110 section 6.6.1), which has whole seconds: the time lies within that second. */
export function readDateHeader(
  where: string,
  date: string | undefined,
  before: Date,
  after: Date,
): ClockReading | undefined {
  const time = Date.parse(date ?? '')
  if (Number.isNaN(time)) return undefined
  const middle = (before.getTime() + after.getTime()) / 2
  return { where, ahead: time + 500 - middle, uncertainty: 500 + (after.getTime() - before.getTime()) / 2 }
}

/** A client that also reports the clock in the first reply of each origin. */
export function withClockReadings(fetch: Fetch, report: (reading: ClockReading) => void, now: () => Date): Fetch {
  const origins = new Set<string>()
  return {
    allows: (url) => fetch.allows(url),
    async fetchJson(url, options) {
      const before = now()
      const reply = await fetch.fetchJson(url, options)
      const { origin } = new URL(url)
      const reading = origins.has(origin) ? undefined : readDateHeader(origin, reply.headers.date, before, now())
      if (reading) report(reading)
      origins.add(origin)
      return reply
    },
  }
}
