/** Searches entries by terms, indexes and times. Pages and a time limit bound the work. */
import { performance } from 'node:perf_hooks'
import type { Database, Knex } from './database.ts'
import { isTimeout } from './database.ts'
import { indexAt } from './entries.ts'
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
 * Rows that are read first, for each row of the page: a few, and then more, since a burst of others may be at the end. The
 * index would read every match of the log, so it is used for terms that are rarer.
 */
const nearby = [40, 360]

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
  if (keys.length === 0) return scan(db, search, keys, patience, Math.min(search.limit + 1, steps[db.kind]))
  if (keys.some(isIdKey)) return page(search, await selectByIndex(db.knex, search, keys))
  if (db.kind === 'embedded') return scan(db, search, keys, patience)
  return searchNearAndFar(db, search, keys, patience)
}

/**
 * Common terms fill the page from the nearest entries, and rare ones are read by the index. The planner's choice would
 * depend on its estimate, which is wrong for a term that is common in one part of the log only: it would scan the others.
 */
async function searchNearAndFar(
  db: Pick<Database, 'knex' | 'kind'>,
  search: Search,
  keys: number[],
  patience: number,
): Promise<SearchResult> {
  const hits: Hit[] = []
  let far = search
  let margin = await rowsBeforeSpan(db, search)
  for (const count of nearby) {
    const [near, rest] = split(far, margin + count * search.limit)
    hits.push(...(await select(db.knex, near, keys)))
    if (hits.length > search.limit || rest.from >= rest.to) return page(search, hits)
    far = rest
    margin = 0
  }
  try {
    const more = await db.knex.transaction(async (tx) => {
      await tx.raw(`select set_config('statement_timeout', ?, true), set_config('enable_seqscan', 'off', true)`, [
        String(patience),
      ])
      return selectByIndex(tx, far, keys)
    })
    return page(search, [...hits, ...more])
  } catch (error) {
    if (!isTimeout(error)) throw error
    return scan(db, search, keys, patience)
  }
}

/** The number of entries that a search reads before those of its time: its range has a margin for times out of order. */
async function rowsBeforeSpan(
  { knex }: Pick<Database, 'knex'>,
  { epoch, from, to, since, until, order }: Search,
): Promise<number> {
  if (order === 'asc') return since ? Math.max((await indexAt(knex, epoch, to, since)) - from, 0) : 0
  return until ? Math.max(to - (await indexAt(knex, epoch, to, until)), 0) : 0
}

/** The first `count` indexes of a search in its order, and the others. */
function split(search: Search, count: number): [Search, Search] {
  const { from, to, order } = search
  if (order === 'asc') {
    const middle = Math.min(from + count, to)
    return [
      { ...search, to: middle },
      { ...search, from: middle },
    ]
  }
  const middle = Math.max(to - count, from)
  return [
    { ...search, from: middle },
    { ...search, to: middle },
  ]
}

type Hit = { idx: string; body: string | null }

/** `by`: the index that the planner may use. Without statistics it would choose the wrong one. */
function conditions(
  { epoch, from, to, since, until }: Search,
  keys: number[],
  by: 'index' | 'terms',
): { sql: string; bindings: Knex.RawBinding[] } {
  const range = by === 'index' ? 'epoch = ? and idx >= ? and idx < ?' : 'epoch + 0 = ? and idx + 0 >= ? and idx + 0 < ?'
  const holdsKeys = by === 'index' ? '(terms @> ?::bigint[]) is true' : 'terms @> ?::bigint[]'
  return {
    sql: [range, since && 'at >= ?', until && 'at < ?', keys.length > 0 && holdsKeys].filter(Boolean).join(' and '),
    bindings: [
      epoch,
      from,
      to,
      ...(since ? [since] : []),
      ...(until ? [until] : []),
      ...(keys.length > 0 ? [keys] : []),
    ],
  }
}

/** Reads the rows of the range in their order, until it has enough of them. */
async function select(knex: Knex, search: Search, keys: number[]): Promise<Hit[]> {
  const { sql, bindings } = conditions(search, keys, 'index')
  const { rows } = await knex.raw<{ rows: Hit[] }>(
    `select idx, body from log_entry where ${sql} order by idx ${search.order} limit ?`,
    [...bindings, search.limit + 1],
  )
  return rows
}

/**
 * Forces the index: for a key that no entry has, the planner would scan the whole log. The texts are read of the page
 * alone, since those of many thousand matches would not fit into memory.
 */
async function selectByIndex(knex: Knex, search: Search, keys: number[]): Promise<Hit[]> {
  const { sql, bindings } = conditions(search, keys, 'terms')
  const { rows } = await knex.raw<{ rows: Hit[] }>(
    `with matching as materialized (select idx from log_entry where ${sql}),
          page as materialized (select idx from matching order by idx ${search.order} limit ?)
     select e.idx, e.body from page join log_entry e on e.epoch = ? and e.idx = page.idx order by e.idx ${search.order}`,
    [...bindings, search.limit + 1, search.epoch],
  )
  return rows
}

/** Reads step by step until the page is full or the time limit is reached. */
async function scan(
  db: Pick<Database, 'knex' | 'kind'>,
  search: Search,
  keys: number[],
  patience: number,
  firstStep = steps[db.kind],
): Promise<SearchResult> {
  const deadline = performance.now() + patience
  const hits: Hit[] = []
  let rest = search
  let step = firstStep + (db.kind === 'embedded' ? 0 : await rowsBeforeSpan(db, search))
  while (rest.from < rest.to) {
    const [part, next] = split(rest, step)
    hits.push(...(await select(db.knex, part, keys)))
    rest = next
    step = steps[db.kind]
    if (hits.length > search.limit || performance.now() >= deadline) break
  }
  return page(search.order === 'asc' ? { ...search, to: rest.from } : { ...search, from: rest.to }, hits)
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
