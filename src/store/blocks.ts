/** Blocks: what was revoked, for as long as the credential would have lived. Every replica holds them in memory. */
import type { Knex } from './database.ts'
import type { BlockRow } from './rows.ts'

/**
 * Writes the blocks of one revocation. What is blocked already stays as it is.
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
