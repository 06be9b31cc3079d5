/** Writes what became of keys, and answers what the log says of it. The entries are the caller's to append. */
import type { Knex } from '../store/database.ts'
import { insertKey, setFirstSize, setLastSize, updateKey } from '../store/keys.ts'
import type { KeyRow } from '../store/rows.ts'
import { logVkey } from './keys.ts'
import type { KeyChanges } from './rotate.ts'

/** @param origin of the log, for the vkeys of log keys */
export async function applyKeyChanges(tx: Knex.Transaction, changes: KeyChanges, origin: string) {
  const { created, retired, withdrawn } = changes
  const describe = (row: KeyRow) => describeKey(row, row.kind === 'log' ? origin : undefined)
  for (const row of created) await insertKey(tx, row)
  for (const row of [...retired, ...withdrawn]) await updateKey(tx, row)
  const entries = [
    ...created.map((row) => ({ action: 'key.create' as const, ...describe(row) })),
    ...retired.map((row) => ({ action: 'key.retire' as const, ...describe(row) })),
    ...withdrawn.map((row) => ({ action: 'key.withdraw' as const, ...describe(row) })),
  ]
  const changed = [...created, ...retired, ...withdrawn].map(({ id }) => ({
    table: 'signing_key' as const,
    where: { id },
  }))
  return {
    /** In the order created, retired, withdrawn; at least one. */
    entries,
    changed,
    /** For log keys: sets their ranges once the entries have their place, the first of them at `index`. */
    placed: async (_: number, index: number): Promise<void> => {
      // The head that holds the announcement is the last that a withdrawn key signs, and the first of the new one.
      const size = index + entries.length
      for (const row of created) if (row.kind === 'log') await setFirstSize(tx, row.id, size)
      for (const row of withdrawn) if (row.kind === 'log') await setLastSize(tx, row.id, size)
    },
  }
}

/** @param origin of a log key, for its vkey */
export function describeKey(row: KeyRow, origin?: string) {
  const { id, kind, algorithm, activeAt, retireAt, goneAt, withdrawnAt } = row
  return {
    resource: { kind: 'key', id, name: kind },
    change: {
      after: {
        kind,
        algorithm,
        publicKey: row.publicKey.toString('base64'),
        ...(row.chain !== undefined && { chain: row.chain }),
        ...(origin !== undefined && { vkey: logVkey(row, origin) }),
        activeAt: activeAt.toISOString(),
        retireAt: retireAt.toISOString(),
        goneAt: goneAt.toISOString(),
        ...(withdrawnAt && { withdrawnAt: withdrawnAt.toISOString() }),
      },
    },
  }
}
