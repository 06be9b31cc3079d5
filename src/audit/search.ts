/** The auditor's search: converts filters to terms, and reads one page of entries that have them all. */
import type { Database } from '../store/database.ts'
import { countRedacted, indexAt } from '../store/entries.ts'
import { type Search, searchEntries } from '../store/search.ts'
import type { LogEntry } from './entry.ts'
import { holdsTerms } from './terms.ts'

/** The filters of the API. An entry must match them all. */
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
    // A workload as an actor has its SPIFFE ID as term (terms.ts), and an operator its name.
    if (name === 'actor' && value.startsWith('spiffe://')) return [`spiffeId=${value}`]
    return [`${name}=${name === 'actor' ? value.replace(/^operator:/, '') : value}`]
  })
}

/** The maximum disorder of times: an entry has the time at which its request began, by the clock of its replica. */
const disorderMs = 300_000

/** A range of indexes within [0, size) that contains all entries of a span of time. */
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

/** `entry` is absent when it was redacted: such an entry has no terms and is found by its index only. */
type Item = { index: number; entry?: LogEntry }

/** The page covers the indexes [from, to). */
export type Page = { items: Item[]; from: number; to: number; redacted: number }

export async function searchPage(db: Pick<Database, 'knex' | 'kind'>, search: Search): Promise<Page> {
  const { rows, from, to } = await searchEntries(db, search)
  const items: Item[] = []
  for (const { index, body } of rows) {
    const entry: LogEntry | undefined = body === null ? undefined : JSON.parse(body)
    // Two terms may share the key by which rows are found.
    if (entry === undefined ? search.terms.length === 0 : holdsTerms(entry, search.terms)) {
      items.push(entry ? { index, entry } : { index })
    }
  }
  return { items, from, to, redacted: await countRedacted(db.knex, search.epoch, from, to) }
}

/** Rows that one query reads for a caller who may not see all, and the number of such queries for one page. */
const hiddenPage = { rows: 500, queries: 40 }

/**
 * A page of the entries that a caller may see. It ends at the last of them, so that its range says nothing of the others. A
 * redacted entry does not say whose it was: it is neither shown nor counted.
 */
export async function visiblePage(
  db: Pick<Database, 'knex' | 'kind'>,
  search: Search,
  isVisible: (entry: LogEntry) => boolean,
): Promise<Page> {
  const { order, limit } = search
  const items: Item[] = []
  let { from, to } = search
  for (let query = 0; from < to && items.length < limit && query < hiddenPage.queries; query++) {
    const page = await searchPage(db, { ...search, from, to, limit: hiddenPage.rows })
    items.push(...page.items.filter(({ entry }) => entry !== undefined && isVisible(entry)))
    if (order === 'asc') from = page.to
    else to = page.from
  }
  const page = items.slice(0, limit)
  const last = page.length === limit ? page.at(-1) : undefined
  const range =
    order === 'asc'
      ? { from: search.from, to: last ? last.index + 1 : from }
      : { from: last ? last.index : to, to: search.to }
  return { items: page, ...range, redacted: 0 }
}
