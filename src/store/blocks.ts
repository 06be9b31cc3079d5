/** Blocks record revocations. Every replica holds those in memory that can be released (memory/blocks.ts). */
import { type Columns, columnsOf, membersOf } from './columns.ts'
import type { Knex } from './database.ts'
import type { BlockKind, BlockRow } from './rows.ts'

/** "prvk" in ASCII. */
const revocationsLock = 0x7072766b

/** The end of a block that lasts until it is released. */
export const untilReleased = new Date('9999-12-31T00:00:00Z')

/** Kinds that block a caller until they are released. The others block one credential and end when it expires. */
const releasable: readonly BlockKind[] = ['instance', 'spiffeId', 'attestor', 'selectors']
export const isReleasable = ({ kind }: Pick<BlockRow, 'kind'>): boolean => releasable.includes(kind)

/**
 * Serializes revocations across all replicas. A revocation writes before it takes the head lock and again under it. Two
 * concurrent ones could deadlock, and every append would wait for the one that holds the head lock.
 */
export const lockRevocations = (tx: Knex.Transaction): Promise<unknown> =>
  tx.raw('select pg_advisory_xact_lock(?)', [revocationsLock])

/** A block that replaces another one clears the columns that it lacks. */
const absentColumns = {
  keyId: null,
  reason: null,
  sessionId: null,
  workloadId: null,
  attestorId: null,
  selectors: null,
}

/**
 * Writes the blocks of one revocation, under `lockRevocations`. An existing block of a credential stays as it is. An
 * existing block that can be released moves to this revocation, so that the release of the earlier one does not lift it.
 * @returns the blocks that were written
 */
export async function insertBlocks(
  tx: Knex.Transaction,
  revocation: string,
  blocks: readonly BlockRow[],
): Promise<BlockRow[]> {
  const added = new Set<string>()
  for (let at = 0; at < blocks.length; at += 500) {
    const rows = blocks.slice(at, at + 500).map((block) => columnsOf({ ...absentColumns, ...block, revocation }))
    const inserted: { id: string }[] = await tx('block')
      .insert(rows)
      .onConflict(['kind', 'value'])
      .merge()
      .whereIn('block.kind', releasable)
      .returning('id')
    for (const { id } of inserted) added.add(id)
  }
  return blocks.filter((block) => added.has(block.id))
}

export type BlockInForce = {
  id: string
  revocation: string
  kind: BlockKind
  session?: string
  spiffeId?: string
  reason?: string
  since: Date
}

const inForce = (knex: Knex, now: Date) =>
  knex('block as b')
    .leftJoin('session as s', 's.id', 'b.session_id')
    .whereIn('b.kind', releasable)
    .whereNotNull('b.revocation')
    .where('b.until', '>', now)
    .select('b.id', 'b.revocation', 'b.kind', 'b.reason', 'b.at as since', 'b.session_id as session')
    .select(knex.raw(`case b.kind when 'spiffeId' then b.value else s.spiffe_id end as spiffe_id`))

/** The revocations and containments that block instances of an attestor now. Such blocks name the attestor by its id. */
export async function revocationsAt(knex: Knex, attestorId: string, now: Date): Promise<string[]> {
  const blocks: Columns<BlockInForce>[] = await inForce(knex, now).where(
    (query) =>
      void query.where({ 'b.kind': 'instance', 's.attestor_id': attestorId }).orWhere('b.attestor_id', attestorId),
  )
  return [...new Set(blocks.map(({ revocation }) => revocation))]
}

/** The blocks of callers that revocations set and that are in force now. */
export async function listBlocks(knex: Knex, now: Date): Promise<BlockInForce[]> {
  const rows: Columns<BlockInForce>[] = await inForce(knex, now).where('b.revocation', 'like', 'rev\\_%')
  return rows.map(membersOf<BlockInForce>)
}

/** Ends the blocks of one revocation or containment, under `lockRevocations`. What it revoked stays revoked. */
export async function releaseBlocks(tx: Knex.Transaction, revocation: string, now: Date): Promise<BlockInForce[]> {
  const rows: Columns<BlockInForce>[] = await inForce(tx, now).where('b.revocation', revocation)
  const ids = rows.map((row) => row.id)
  await tx('block').whereIn('id', ids).update({ until: now })
  return rows.map(membersOf<BlockInForce>)
}
