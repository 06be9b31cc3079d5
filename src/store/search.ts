/** Searching entries by terms, places and times. Work is bounded: pages, and a time after which what was found is answered. */
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

/** `from` and `to` are what the rows answer for: all of the search, or as far as page or time reached. */
export type SearchResult = { rows: { index: number; body: string | null }[]; from: number; to: number }

/** Rows of one step where the log is walked. PGlite answers nobody else during a statement. */
const steps = { embedded: 500, postgres: 10_000 }

/**
 * Rows that have a key of every term; keys are shared now and then, so callers look at the entries again.
 * @param patience milliseconds after which what was found is answered; a step that was begun is ended
 */
export async function searchEntries(
  db: Pick<Database, 'knex' | 'kind'>,
  search: Search,
  patience = 1500,
): Promise<SearchResult> {
  const keys = termKeys(search.terms)
  if (keys.length === 0) return page(search, await select(db.knex, search, keys))
  if (keys.some(isIdKey)) return page(search, await byIndex(db.knex, search, keys))
  if (db.kind === 'embedded') return walk(db, search, keys, patience)
  // Postgres knows which facts are common and which are rare. Where it guesses wrong, the log is walked instead.
  try {
    const rows = await db.knex.transaction(async (tx) => {
      await tx.raw(`set local statement_timeout = ${patience}`)
      return select(tx, search, keys)
    })
    return page(search, rows)
  } catch (error) {
    if (!isTimeout(error)) throw error
    return walk(db, search, keys, patience)
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

/** By the index in any case: for a key that nobody has, the planner would rather walk the whole log. */
async function byIndex(knex: Knex, search: Search, keys: number[]): Promise<Hit[]> {
  const { sql, bindings } = conditions(search, keys)
  const { rows } = await knex.raw<{ rows: Hit[] }>(
    `with found as materialized (select idx, body from log_entry where ${sql})
     select * from found order by idx ${search.order} limit ?`,
    [search.epoch, search.from, search.to, ...bindings, search.limit + 1],
  )
  return rows
}

/** Step by step from where the search begins, until the page is full or its time is over. */
async function walk(
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

/** Cuts what is more than a page, and says which indexes the rest answers for. */
function page({ from, to, order, limit }: Search, hits: Hit[]): SearchResult {
  const rows = hits.slice(0, limit).map(({ idx, body }) => ({ index: Number(idx), body }))
  const last = rows.at(-1)
  if (hits.length <= limit || !last) return { rows, from, to }
  return order === 'asc' ? { rows, from, to: last.index + 1 } : { rows, from: last.index, to }
}

/** Bodies of those that have every term's key, newest first, parsed; redacted ones are left out. */
export async function findEntries(knex: Knex, terms: readonly string[], max: number): Promise<unknown[]> {
  // By the index in any case: for a key that nobody has, the planner would rather walk the whole log from its end.
  const result = await knex.raw<{ rows: { body: string }[] }>(
    `with found as materialized (select epoch, idx, body from log_entry where terms @> ?::bigint[] and body is not null)
     select body from found order by epoch desc, idx desc limit ?`,
    [termKeys(terms), max],
  )
  return result.rows.map((row): unknown => JSON.parse(row.body))
}
