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

/** After every entry. */
const end: Place = { epoch: 2 ** 31 - 1, index: Number.MAX_SAFE_INTEGER }

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
  // A revoked token leaves no traces. Those that it created may have left some after the cut.
  const before = subject.kind === 'apiTokens' ? end : { epoch, index: cut }
  const places = await findPlaces(knex, tracesOf(subject, sessions), { since, after: reached, before })
  for (let at = 0; at === 0 || at < places.length; at += pageSize) {
    const page = places.slice(at, at + pageSize)
    const entries = (await readBodies(knex, page)).map((body): LogEntry => JSON.parse(body))
    yield {
      ...findingsIn(entries, subject, isAmong, now),
      reached: page.at(-1) ?? { epoch, index: cut },
      isLast: at + pageSize >= places.length,
    }
  }
}
