/** The entries that a caller left in the log: found by the index on terms, read in pages. */
import type { Knex } from './database.ts'
import type { Place } from './entries.ts'
import { termKeys } from './term-keys.ts'

/** Entries that have every one of some terms, or any one of others. Two terms may share a key, so callers check the entries. */
export type Traces = { all: readonly string[]; any: readonly string[] }

type Range = {
  /** The earliest time of an entry. */
  since?: Date | undefined
  after?: Place | undefined
  before: Place
}

/** Milliseconds. The search holds no lock, and a busy attestor may have millions of entries. */
const patience = 300_000

/** The positions of the entries in order. */
export function findPlaces(knex: Knex, { all, any }: Traces, { since, after, before }: Range): Promise<Place[]> {
  const sources = [
    all.length > 0 ? { test: 'terms @> ?::bigint[]', keys: termKeys(all) } : [],
    any.length > 0 ? { test: 'terms && ?::bigint[]', keys: termKeys(any) } : [],
  ].flat()
  if (sources.length === 0) return Promise.resolve([])
  return knex.transaction(async (tx) => {
    // For a key that no entry has, the planner would scan the log.
    await tx.raw(`select set_config('statement_timeout', ?, true), set_config('enable_seqscan', 'off', true)`, [
      String(patience),
    ])
    const matching = sources.map(
      ({ test }) => `select epoch, idx from log_entry where ${test} and at >= coalesce(?::timestamptz, '-infinity')`,
    )
    const { rows } = await tx
      .raw<{ rows: { epoch: number; idx: string }[] }>(
        `with matching as materialized (${matching.join(' union ')})
         select epoch, idx from matching where (epoch, idx) < (?, ?) and (epoch, idx) > (?, ?) order by epoch, idx`,
        [
          ...sources.flatMap(({ keys }) => [keys, since ?? null]),
          before.epoch,
          before.index,
          after?.epoch ?? 0,
          after?.index ?? -1,
        ] as Knex.RawBinding[],
      )
      .options({ query_timeout: patience })
    return rows.map(({ epoch, idx }) => ({ epoch, index: Number(idx) }))
  })
}
