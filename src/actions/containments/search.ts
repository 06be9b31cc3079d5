/** Pages through the log for what a containment finds below its cut. */
import type { LogEntry } from '../../audit/entry.ts'
import { coveredSessions } from '../../store/contained-sessions.ts'
import type { ContainmentRow } from '../../store/containments.ts'
import type { Knex } from '../../store/database.ts'
import type { Place } from '../../store/entries.ts'
import { readBodies } from '../../store/issued.ts'
import { findPlaces } from '../../store/traces.ts'
import { type Findings, findingsIn, tracesOf } from './findings.ts'

/** Entries of one page: their credentials are revoked in one change, for which appends wait. */
const pageSize = 200

export type FoundPage = Findings & { reached: Place; isLast: boolean }

/**
 * The pages after the one that was reached. Where nothing was found, one page is empty.
 * @param row `epoch` and `cut`: where the search ends
 */
export async function* searchLog(
  knex: Knex,
  { subject, since, reached, epoch, cut }: Pick<ContainmentRow, 'subject' | 'since' | 'reached' | 'epoch' | 'cut'>,
  now: Date,
): AsyncGenerator<FoundPage> {
  const sessions = await coveredSessions(knex, subject, since)
  const isAmong = new Set(sessions)
  const before = { epoch, index: cut }
  const places = await findPlaces(knex, tracesOf(subject, sessions), { since, after: reached, before })
  for (let at = 0; at === 0 || at < places.length; at += pageSize) {
    const page = places.slice(at, at + pageSize)
    const entries = (await readBodies(knex, page)).map((body): LogEntry => JSON.parse(body))
    yield {
      ...findingsIn(entries, subject, isAmong, now),
      reached: page.at(-1) ?? before,
      isLast: at + pageSize >= places.length,
    }
  }
}
