/** Reading entries by place and by time. */
import { randomUUID } from 'node:crypto'
import type { Knex } from './database.ts'

/** `body` and `nonce` are null where retention took them. */
export type EntryRow = { index: number; leaf: Buffer; nonce: Buffer | null; body: string | null }

type Row = { idx: string; leaf: Buffer; nonce: Buffer | null; body: string | null }
const entryOf = ({ idx, ...row }: Row): EntryRow => ({ index: Number(idx), ...row })

/** Entries [from, to) in order. Asked for a few hundred at a time. */
export async function readEntries(knex: Knex, epoch: number, from: number, to: number): Promise<EntryRow[]> {
  const rows: Row[] = await knex('log_entry')
    .select('idx', 'leaf', 'nonce', 'body')
    .where({ epoch })
    .whereBetween('idx', [from, to - 1])
    .orderBy('idx')
  return rows.map(entryOf)
}

/**
 * The first index in [0, size) whose time is not before the given one, or `size`. Times of neighbours may be out of order
 * by what a request took and by how far replicas' clocks are apart: callers leave a margin.
 */
export async function indexAt(knex: Knex, epoch: number, size: number, time: Date): Promise<number> {
  let [low, high] = [0, size]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const row: { at: Date } | undefined = await knex('log_entry').select('at').where({ epoch, idx: middle }).first()
    if (!row) throw new Error(`the log has no entry ${epoch}/${middle}`)
    if (row.at < time) low = middle + 1
    else high = middle
  }
  return low
}

/** The range [from, to) of the redactions that touch a range, and where their own entries are. */
export type Redaction = { from: number; to: number; entryEpoch: number; entryIndex: number }

export async function readRedactions(knex: Knex, epoch: number, from: number, to: number): Promise<Redaction[]> {
  const rows: { from_idx: string; to_idx: string; entry_epoch: number; entry_idx: string }[] = await knex(
    'log_redaction',
  )
    .where({ epoch })
    .where('from_idx', '<', to)
    .where('to_idx', '>', from)
    .orderBy('from_idx')
  return rows.map((row) => ({
    from: Number(row.from_idx),
    to: Number(row.to_idx),
    entryEpoch: row.entry_epoch,
    entryIndex: Number(row.entry_idx),
  }))
}

export const insertRedaction = (
  tx: Knex.Transaction,
  { epoch, from, to, entryEpoch, entryIndex }: Redaction & { epoch: number },
): Promise<unknown> =>
  tx('log_redaction').insert({
    id: randomUUID(),
    epoch,
    from_idx: from,
    to_idx: to,
    entry_epoch: entryEpoch,
    entry_idx: entryIndex,
  })

/** In the transaction of the redaction that covers them: anything else Postgres refuses. */
export const takeEntries = (
  tx: Knex.Transaction,
  { epoch, from, to }: { epoch: number; from: number; to: number },
): Promise<unknown> =>
  tx('log_entry')
    .where({ epoch })
    .whereBetween('idx', [from, to - 1])
    .update({ body: null, nonce: null, terms: [] })
