/** Reads entries of the log by index and by time, and redacts them. */
import { randomUUID } from 'node:crypto'
import type { Knex } from './database.ts'

/** `body` and `nonce` are null when the entry was redacted. */
export type EntryRow = { index: number; leaf: Buffer; nonce: Buffer | null; body: string | null }

type Row = { idx: string; leaf: Buffer; nonce: Buffer | null; body: string | null }
const entryOf = ({ idx, ...row }: Row): EntryRow => ({ index: Number(idx), ...row })

/** Entries [from, to) in order. Callers read a few hundred at a time. */
export async function readEntries(knex: Knex, epoch: number, from: number, to: number): Promise<EntryRow[]> {
  const rows: Row[] = await knex('log_entry')
    .select('idx', 'leaf', 'nonce', 'body')
    .where({ epoch })
    .whereBetween('idx', [from, to - 1])
    .orderBy('idx')
  return rows.map(entryOf)
}

/**
 * The first index in [0, size) whose time is not before `time`, or `size`. Times of neighbours may be out of order by the
 * duration of a request and the difference between replicas' clocks, so callers leave a margin.
 */
export async function indexAt(knex: Knex, epoch: number, size: number, time: Date): Promise<number> {
  const { rows } = await knex.raw<{ rows: { low: string; high: string }[] }>(
    `with recursive bisection (low, high) as (
       select 0::bigint, ?::bigint
       union all
       select case when e.at < ? then e.idx + 1 else low end, case when e.at < ? then high else e.idx end
         from bisection join log_entry e on e.epoch = ? and e.idx = (low + high) / 2 where low < high)
     select low, high from bisection order by high - low limit 1`,
    [size, time, time, epoch],
  )
  const { low, high } = rows[0] ?? { low: '0', high: '0' }
  if (low !== high) throw new Error(`the log has no entry ${epoch}/${Math.floor((Number(low) + Number(high)) / 2)}`)
  return Number(low)
}

/** Narrows [from, to) to begin at the first entry not before `since` and to end after the last entry before `until`. */
export async function narrowRun(
  knex: Knex,
  epoch: number,
  { from, to }: Run,
  { since, until }: { since?: Date | undefined; until?: Date | undefined },
): Promise<Run> {
  const within = knex('log_entry').select('idx').where({ epoch }).where('idx', '>=', from).where('idx', '<', to)
  const first: { idx: string } | undefined =
    since && (await within.clone().where('at', '>=', since).orderBy('idx').first())
  const last: { idx: string } | undefined =
    until && (await within.clone().where('at', '<', until).orderBy('idx', 'desc').first())
  const begin = since ? Number(first?.idx ?? to) : from
  return { from: begin, to: until ? Math.max(begin, Number(last?.idx ?? -1) + 1) : to }
}

/** `stays`: the entry must not be redacted, by the SQL function `log_entry_stays` (migrations/005-redaction.ts). */
export type RedactableRow = { index: number; at: Date; body: string | null; stays: boolean | null }

export async function readRedactable(tx: Knex, epoch: number, from: number, to: number): Promise<RedactableRow[]> {
  const { rows } = await tx.raw<{ rows: (Omit<RedactableRow, 'index'> & { idx: string })[] }>(
    `select idx, at, body, log_entry_stays(idx, body) as stays from log_entry
      where epoch = ? and idx >= ? and idx < ? order by idx`,
    [epoch, from, to],
  )
  return rows.map(({ idx, ...row }) => ({ index: Number(idx), ...row }))
}

export type Place = { epoch: number; index: number }

/** The positions of the redaction entries that redacted anything in [from, to), in order. */
export async function redactionPlaces(knex: Knex, epoch: number, from: number, to: number): Promise<Place[]> {
  const { rows } = await knex.raw<{ rows: { entry_epoch: number; entry_idx: string }[] }>(
    `select distinct entry_epoch, entry_idx from log_redaction where epoch = ? and runs && int8range(?, ?) order by 1, 2`,
    [epoch, from, to],
  )
  return rows.map((row) => ({ epoch: row.entry_epoch, index: Number(row.entry_idx) }))
}

export async function countRedacted(knex: Knex, epoch: number, from: number, to: number): Promise<number> {
  const { rows } = await knex.raw<{ rows: { count: string }[] }>(
    `select coalesce(sum(upper(run) - lower(run)), 0) as count
       from log_redaction, unnest(runs * int8multirange(int8range(?, ?))) as run
      where epoch = ? and runs && int8range(?, ?)`,
    [from, to, epoch, from, to],
  )
  return Number(rows[0]?.count ?? 0)
}

/** Indexes [from, to). */
export type Run = { from: number; to: number }

/** Removes body, nonce and terms of the runs. Postgres refuses it outside of the transaction of the entry that names them. */
export async function redactEntries(
  tx: Knex.Transaction,
  { epoch, runs, entry }: { epoch: number; runs: readonly Run[]; entry: Place },
): Promise<void> {
  const text = `{${runs.map(({ from, to }) => `[${from},${to})`).join(',')}}`
  await tx.raw(
    `insert into log_redaction (id, epoch, from_idx, to_idx, runs, entry_epoch, entry_idx)
     select ?, ?, lower(r.runs), upper(r.runs), r.runs, ?, ? from (select ?::int8multirange as runs) as r`,
    [randomUUID(), epoch, entry.epoch, entry.index, text],
  )
  await tx.raw(
    `update log_entry e set body = null, nonce = null, terms = '{}' from (select ?::int8multirange as runs) as r
      where e.epoch = ? and e.idx >= lower(r.runs) and e.idx < upper(r.runs) and e.idx <@ r.runs`,
    [text, epoch],
  )
}
