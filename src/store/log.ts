/** The rows of the log. Every append goes through `log_append` (migrations/log-append.ts). */
import { randomUUID } from 'node:crypto'
import type { Knex } from 'knex'
import { type AppendItem, type Verdict, readVerdict, toWire } from './append-wire.ts'
import { effectNames, writesOf } from './effects.ts'
import { queryPrepared } from './prepared.ts'

export type Appended = {
  epoch: number
  /** Index of the first appended item; the others follow in order. */
  first: number
  size: number
  revision: number
  /** By position in the batch. An item without a verdict was appended. */
  verdicts: Map<number, Verdict>
  /** Commitments that the caller's tree lacks before `first`, from its newest entry on. */
  missed?: LeafRange
}

/** Commitments of consecutive entries. `from` is the index of the first one. */
export type LeafRange = { from: number; leaves: Buffer[] }

export type Head = {
  instanceId: string
  trustDomain: string
  issuer: string
  epoch: number
  size: number
  /** The number of the last change of policy. A decision under an earlier one is outdated. */
  revision: number
  /** The number of the last change of policy or of a secret: it stamps the rows that change. */
  changes: number
  issuing: boolean
  /** Why the log is closed for every replica, until a new epoch. */
  closed?: { reason: string; at: Date }
  /** The only database server that accepts entries (database-server.ts); absent when any server does. */
  server?: string
  /** Each entry waits for a synchronous standby. */
  synchronous: boolean
}

const b64 = (bytes: Buffer): string => bytes.toString('base64')

type AppendReply = {
  epoch: number
  first: number
  size: number
  revision: number
  verdicts?: Record<string, string>
  missed?: string[] | null
}

/**
 * `refusable`: this caller handles verdicts, so a log that accepts no entries may answer without a position. `policy`: its
 * decisions are outdated by changes of policy alone.
 */
const appendParts = (items: AppendItem[]): string[] => [...effectNames(items), 'refusable', 'policy']

/** Milliseconds after which an append's answer counts as lost. */
const answerMs = 3_000

/**
 * Appends a batch in one round trip that ends in COMMIT, or within a transaction that holds the head lock. Two items with
 * the same claim must not share a batch.
 * @param seen the number of entries that the caller's tree has, for `missed`
 */
export async function appendItems(
  knex: Knex,
  batch: string,
  epoch: number,
  items: AppendItem[],
  seen?: number,
): Promise<Appended> {
  const writes = writesOf(items)
  const [row] = await queryPrepared<{ reply: AppendReply }>(knex, {
    name: 'append',
    sql: 'select log_append(?, ?, ?, ?, ?, ?) as reply',
    bindings: [
      batch,
      epoch,
      JSON.stringify(items.map(toWire)),
      appendParts(items),
      writes.length > 0 ? JSON.stringify(writes) : null,
      seen ?? null,
    ],
    timeoutMs: answerMs,
  })
  const reply = row?.reply
  if (!reply) throw new Error('log_append returned no row')
  const verdicts = new Map<number, Verdict>()
  if (!reply.verdicts) items.forEach((_, n) => verdicts.set(n, { kind: 'epoch' }))
  for (const [n, text] of Object.entries(reply.verdicts ?? {})) verdicts.set(Number(n), readVerdict(text))
  const missed = reply.missed?.map((leaf) => Buffer.from(leaf, 'base64'))
  return {
    epoch: reply.epoch,
    first: reply.first,
    size: reply.size,
    revision: reply.revision,
    verdicts,
    ...(missed && { missed: { from: reply.first - missed.length, leaves: missed } }),
  }
}

export const newBatchId = (): string => randomUUID()

type HeadRow = {
  instance_id: string
  trust_domain: string
  issuer: string
  epoch: number
  size: string
  revision: string
  policy_revision?: string
  issuing: boolean
  /** Absent on a schema that is not migrated yet. */
  closed_reason?: string | null
  closed_at?: Date | null
  server?: string | null
  synchronous?: boolean
}

const toHead = (row: HeadRow): Head => ({
  instanceId: row.instance_id,
  trustDomain: row.trust_domain,
  issuer: row.issuer,
  epoch: row.epoch,
  size: Number(row.size),
  revision: Number(row.policy_revision ?? row.revision),
  changes: Number(row.revision),
  issuing: row.issuing,
  ...(row.closed_reason && row.closed_at && { closed: { reason: row.closed_reason, at: row.closed_at } }),
  ...(row.server && { server: row.server }),
  synchronous: row.synchronous ?? false,
})

/** The head row; `undefined` before the first start. */
export async function readHead(knex: Knex): Promise<Head | undefined> {
  const row = await knex<HeadRow>('log_head').first()
  return row && toHead(row)
}

/** Takes the head lock, which is always the last lock of a transaction. */
export async function lockHead(tx: Knex.Transaction): Promise<Head> {
  const row = await tx<HeadRow>('log_head').forUpdate().first()
  if (!row) throw new Error('the log has no head row')
  return toHead(row)
}

/**
 * Determines the outcome of a batch whose answer was lost: the index of each leaf, or an empty map when nothing was
 * appended. The head lock waits for a running append. A batch that has not arrived yet is recorded as lost, so that
 * `log_append` refuses it later. The row lock makes this COMMIT wait for a synchronous standby, which then has the entries.
 */
export async function resolveBatch(
  knex: Knex,
  { batch, epoch, from }: { batch: string; epoch: number; from: number },
): Promise<Map<string, number>> {
  return knex.transaction(async (tx) => {
    await lockHead(tx)
    const rows: { idx: string; leaf: Buffer }[] = await tx('log_entry')
      .select('idx', 'leaf')
      .where({ epoch, batch })
      .where('idx', '>=', from)
    if (rows.length === 0) await tx('lost_batch').insert({ id: batch }).onConflict('id').ignore()
    return new Map(rows.map((row) => [b64(row.leaf), Number(row.idx)]))
  })
}

/**
 * Terminates backends whose client began an append and then stopped sending. A replica that was stopped or cut off between
 * the statement and its Sync (PostgreSQL documentation, 55.2.3) holds the head lock, and no server timeout applies there.
 */
export const endSilentAppends = (knex: Knex): Promise<unknown> =>
  knex.raw(
    `select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and usename = current_user and state = 'active' and wait_event = 'ClientRead'
        and starts_with(query, 'select log_append(') and state_change < clock_timestamp() - interval '1 second'`,
  )

/** The commitments of entries [from, to) in order. Throws when one is missing. */
export async function readLeaves(knex: Knex, epoch: number, from: number, to: number): Promise<Buffer[]> {
  const leaves: Buffer[] = []
  for (let at = from; at < to; at += 500) {
    const rows: { idx: string; leaf: Buffer }[] = await knex('log_entry')
      .select('idx', 'leaf')
      .where({ epoch })
      .whereBetween('idx', [at, Math.min(at + 500, to) - 1])
      .orderBy('idx')
    for (const row of rows) {
      if (Number(row.idx) !== from + leaves.length)
        throw new Error(`the log has no entry ${epoch}/${from + leaves.length}`)
      leaves.push(row.leaf)
    }
  }
  if (leaves.length !== to - from) throw new Error(`the log has no entry ${epoch}/${from + leaves.length}`)
  return leaves
}

/** A full tile of 256 hashes; undefined when it is not written yet. */
export async function readTile(knex: Knex, epoch: number, level: number, idx: number): Promise<Buffer | undefined> {
  const row: { hashes: Buffer } | undefined = await knex('log_tile')
    .select('hashes')
    .where({ epoch, level, idx })
    .first()
  return row?.hashes
}

export async function writeTiles(
  knex: Knex,
  epoch: number,
  tiles: { level: number; index: number; hashes: Buffer }[],
): Promise<void> {
  if (tiles.length === 0) return
  await knex('log_tile')
    .insert(tiles.map((tile) => ({ epoch, level: tile.level, idx: tile.index, hashes: tile.hashes })))
    .onConflict(['epoch', 'level', 'idx'])
    .ignore()
}
