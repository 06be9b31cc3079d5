/** This host's clock, held against others' that the same moment was asked of. */
import type { Fetch } from '../../attest/key-source.ts'
import type { Knex } from '../../store/database.ts'
import { readClock } from '../../store/postgres-facts.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

const check = 'clock'

/** What an answer said the time was, and by how much it can be off. Milliseconds; `ahead` of this host. */
export type Heard = { where: string; ahead: number; unsure: number; attestor?: string }

const [warnMs, failMs] = [2_000, 30_000]

export function judgeClock(heard: readonly Heard[]): Finding[] {
  const findings = heard.flatMap((heard): Finding[] => {
    const off = Math.abs(heard.ahead) - heard.unsure
    if (off <= warnMs) return []
    const seconds = Math.round(Math.abs(heard.ahead) / 1000)
    const whose = heard.attestor === undefined ? heard.where : `${heard.where} (attestor ${heard.attestor})`
    const what = `this host is ${seconds} s ${heard.ahead > 0 ? 'behind' : 'ahead of'} ${whose}`
    const why =
      'what expires, or is not valid yet, is judged by clocks: proofs are refused, credentials end early or late'
    const remedy = 'timedatectl status (or chronyc tracking) on both, and set right the one that is off'
    return [(off > failMs ? fail : warn)(check, what, { why, do: remedy })]
  })
  if (findings.length > 0 || heard.length === 0) return findings
  return [ok(check, `agrees with ${[...new Set(heard.map(({ where }) => where))].join(', ')}`)]
}

/** The database's clock at the middle of the question. */
export async function hearDatabase(knex: Knex, now: () => Date): Promise<Heard> {
  const before = now().getTime()
  const time = (await readClock(knex)).getTime()
  const after = now().getTime()
  return { where: 'the database', ahead: time - (before + after) / 2, unsure: (after - before) / 2 }
}

/** A Date header (RFC 9110 section 6.6.1) has whole seconds: its time is somewhere in the one that it names. */
export function heardFrom(where: string, date: string | undefined, before: Date, after: Date): Heard | undefined {
  const time = Date.parse(date ?? '')
  if (Number.isNaN(time)) return undefined
  const middle = (before.getTime() + after.getTime()) / 2
  return { where, ahead: time + 500 - middle, unsure: 500 + (after.getTime() - before.getTime()) / 2 }
}

/** The same client, that also tells what the first answer of each place said of the time. */
export function hearing(fetch: Fetch, tell: (heard: Heard) => void, now: () => Date): Fetch {
  const heard = new Set<string>()
  return {
    allows: (url) => fetch.allows(url),
    async fetchJson(url, options) {
      const before = now()
      const reply = await fetch.fetchJson(url, options)
      const { origin } = new URL(url)
      const one = heard.has(origin) ? undefined : heardFrom(origin, reply.headers.date, before, now())
      if (one) tell(one)
      heard.add(origin)
      return reply
    },
  }
}
