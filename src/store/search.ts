/** Searches entries by terms, indexes and times. Pages and a time limit bound the work. */
import { performance } from 'node:perf_hooks'
import type { Database, Knex } from './database.ts'
import { isTimeout } from './database.ts'
import { isIdKey, termKeys } from './term-keys.ts'

export type Search = {
  epoch: number
  /** Indexes [from, to). */
  from: number
  to: number
  terms: readonly string[]
  since?: Date
  until?: Date
  order: 'asc' | 'desc'
  limit: number
}

/** The rows cover indexes [from, to): the whole search, or the part that page size and time limit allowed. */
export type SearchResult = { rows: { index: number; body: string | null }[]; from: number; to: number }

/** Rows of one step of a scan. PGlite serves no other request during a statement. */
const steps = { embedded: 500, postgres: 10_000 }

/**
 * Rows that have the key of every term. Two terms may share a key, so callers check the entries.
 * @param patience milliseconds after which the search returns the rows so far; it completes a step that has begun
 */
export async function searchEntries(
  db: Pick<Database, 'knex' | 'kind'>,
  search: Search,
  patience = 1500,
): Promise<SearchResult> {
  const keys = termKeys(search.terms)
  if (keys.length === 0) return page(search, await select(db.knex, search, keys))
  if (keys.some(isIdKey)) return page(search, await selectByIndex(db.knex, search, keys))
  if (db.kind === 'embedded') return scan(db, search, keys, patience)
  // Postgres knows which terms are common and which are rare. Where its estimate is wrong, a scan replaces the query.
  try {
    const rows = await db.knex.transaction(async (tx) => {
      await tx.raw(`set local statement_timeout = ${patience}`)
      return select(tx, search, keys)
    })
    return page(search, rows)
  } catch (error) {
    if (!isTimeout(error)) throw error
    return scan(db, search, keys, patience)
  }
}

type Hit = { idx: string; body: string | null }

const conditions = ({ since, until }: Search, keys: number[]): { sql: string; bindings: Knex.RawBinding[] } => ({
  sql: [
    'epoch = ? and idx >= ? and idx < ?',
    ...(keys.length > 0 ? ['terms @> ?::bigint[]'] : []),
    ...(since ? ['at >= ?'] : []),
    ...(until ? ['at < ?'] : []),
  ].join(' and '),
  bindings: [...(keys.length > 0 ? [keys] : []), ...(since ? [since] : []), ...(until ? [until] : [])],
})

async function select(knex: Knex, search: Search, keys: number[]): Promise<Hit[]> {
  const { sql, bindings } = conditions(search, keys)
  const { rows } = await knex.raw<{ rows: Hit[] }>(
    `select idx, body from log_entry where ${sql} order by idx ${search.order} limit ?`,
    [search.epoch, search.from, search.to, ...bindings, search.limit + 1],
  )
  return rows
}

/** Forces the index: for a key that no entry has, the planner would scan the whole log. */
async function selectByIndex(knex: Knex, search: Search, keys: number[]): Promise<Hit[]> {
  const { sql, bindings } = conditions(search, keys)
  const { rows } = await knex.raw<{ rows: Hit[] }>(
    `with matching as materialized (select idx, body from log_entry where ${sql})
     select * from matching order by idx ${search.order} limit ?`,
    [search.epoch, search.from, search.to, ...bindings, search.limit + 1],
  )
  return rows
}

/** Reads step by step until the page is full or the time limit is reached. */
async function scan(
  db: Pick<Database, 'knex' | 'kind'>,
  search: Search,
  keys: number[],
  patience: number,
): Promise<SearchResult> {
  const deadline = performance.now() + patience
  const hits: Hit[] = []
  let { from, to } = search
  while (from < to) {
    const step = steps[db.kind]
    const part =
      search.order === 'asc' ? { from, to: Math.min(from + step, to) } : { from: Math.max(to - step, from), to }
    hits.push(...(await select(db.knex, { ...search, ...part }, keys)))
    if (search.order === 'asc') from = part.to
    else to = part.from
    if (hits.length > search.limit || performance.now() >= deadline) break
  }
  return page(search.order === 'asc' ? { ...search, to: from } : { ...search, from: to }, hits)
}

/** Limits the hits to one page, and computes the indexes that the page covers. */
function page({ from, to, order, limit }: Search, hits: Hit[]): SearchResult {
  const rows = hits.slice(0, limit).map(({ idx, body }) => ({ index: Number(idx), body }))
  const last = rows.at(-1)
  if (hits.length <= limit || !last) return { rows, from, to }
  return order === 'asc' ? { rows, from, to: last.index + 1 } : { rows, from: last.index, to }
}

/** Parsed bodies of the entries that have the key of every term, newest first. Leaves out redacted entries. */
export async function findEntries(knex: Knex, terms: readonly string[], max: number): Promise<unknown[]> {
  // Forces the index: for a key that no entry has, the planner would scan the whole log from its end.
  const result = await knex.raw<{ rows: { body: string }[] }>(
    `with matching as materialized (select epoch, idx, body from log_entry where terms @> ?::bigint[] and body is not null)
     select body from matching order by epoch desc, idx desc limit ?`,
    [termKeys(terms), max],
  )
  return result.rows.map((row): unknown => JSON.parse(row.body))
}
