/** Blocks: what was revoked, for as long as the credential would have lived. Every replica holds them in memory. */
import type { Knex } from './database.ts'
import type { BlockRow } from './rows.ts'

/** "prvk" in ASCII. */
const revocationsLock = 0x7072766b

/**
 * One revocation writes at a time, of all replicas. It writes before it has the head lock and again under it: two that
 * cover the same would wait for each other, and everybody else for the one that has the head.
 */
export const lockRevocations = (tx: Knex.Transaction): Promise<unknown> =>
  tx.raw('select pg_advisory_xact_lock(?)', [revocationsLock])

/**
 * Writes the blocks of one revocation, under `lockRevocations`. What is blocked already stays as it is.
 * @returns those that are new
 */
export async function insertBlocks(
  tx: Knex.Transaction,
  revocation: string,
  blocks: readonly BlockRow[],
): Promise<BlockRow[]> {
  const added = new Set<string>()
  for (let at = 0; at < blocks.length; at += 500) {
    const rows = blocks.slice(at, at + 500).map((block) => ({
      id: block.id,
      kind: block.kind,
      value: block.value,
      key_id: block.keyId ?? null,
      reason: block.reason ?? null,
      at: block.at,
      until: block.until,
      revocation,
    }))
    const inserted: { id: string }[] = await tx('block')
      .insert(rows)
      .onConflict(['kind', 'value'])
      .ignore()
      .returning('id')
    for (const { id } of inserted) added.add(id)
  }
  return blocks.filter((block) => added.has(block.id))
}
