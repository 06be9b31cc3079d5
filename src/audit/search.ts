/** The auditor's search: what a filter means as a term, and one page of what holds them all. */
import type { Database } from '../store/database.ts'
import { countRedacted, indexAt } from '../store/entries.ts'
import { type Search, searchEntries } from '../store/search.ts'
import type { LogEntry } from './entry.ts'
import { holdsTerms } from './terms.ts'

/** Filters of the API by name; each is one fact that an entry must have. */
export const filterNames = [
  'actor',
  'session',
  'spiffeId',
  'workload',
  'attestor',
  'selector',
  'action',
  'outcome',
  'reason',
  'serialNumber',
  'sha256',
  'jti',
  'leaseId',
  'path',
  'requestId',
  'sourceIp',
] as const
export type Filters = { readonly [K in (typeof filterNames)[number]]?: string }

export function filterTerms(filters: Filters): string[] {
  return filterNames.flatMap((name) => {
    const value = filters[name]
    if (value === undefined) return []
    // A workload as an actor is found by its SPIFFE ID (terms.ts), and an operator by its name.
    if (name === 'actor' && value.startsWith('spiffe://')) return [`spiffeId=${value}`]
    return [`${name}=${name === 'actor' ? value.replace(/^operator:/, '') : value}`]
  })
}

/**
 * What an entry's time may be ahead of or behind its neighbours': the time is the request's beginning, by the clock of
 * its replica.
 */
const disorderMs = 300_000

/** The indexes of [0, size) among which everything of a span of time is. */
export async function rangeOfTime(
  db: Pick<Database, 'knex'>,
  epoch: number,
  size: number,
  { since, until }: { since?: Date | undefined; until?: Date | undefined },
): Promise<{ from: number; to: number }> {
  const at = (time: Date, shift: number): Promise<number> =>
    indexAt(db.knex, epoch, size, new Date(time.getTime() + shift))
  const from = since ? await at(since, -disorderMs) : 0
  const to = until ? await at(until, disorderMs) : size
  return { from: Math.min(from, to), to }
}

/** `entry` is absent where retention took it: such an entry is found by its place alone. */
type Item = { index: number; entry?: LogEntry }

/** `from` and `to` are the indexes that the page answers for. */
export type Page = { items: Item[]; from: number; to: number; redacted: number }

export async function searchPage(db: Pick<Database, 'knex' | 'kind'>, search: Search): Promise<Page> {
  const { rows, from, to } = await searchEntries(db, search)
  const items: Item[] = []
  for (const { index, body } of rows) {
    const entry: LogEntry | undefined = body === null ? undefined : JSON.parse(body)
    // Rows come by keys that two terms may share.
    if (entry === undefined ? search.terms.length === 0 : holdsTerms(entry, search.terms)) {
      items.push(entry ? { index, entry } : { index })
    }
  }
  return { items, from, to, redacted: await countRedacted(db.knex, search.epoch, from, to) }
}
