/** The last step of replacing an administrative credential: the staged one replaces the current one. */
import type { Changed } from '../../audit/record.ts'
import type { EntryPart } from '../../audit/entry.ts'
import { refuse } from '../../errors.ts'
import type { Knex } from '../../store/database.ts'
import { lockDatabase, updateDatabase } from '../../store/databases.ts'
import type { DatabaseRow } from '../../store/rows.ts'
import { switched } from './admin-rotation.ts'
import { definitionOf } from './definition.ts'

export const databaseResource = (row: DatabaseRow) => ({ kind: 'database', id: row.id, name: row.name })

const changedMeanwhile = 'the database was changed meanwhile: its new credential is set from what it is now'

type Switched = { row: DatabaseRow; entry: EntryPart; changed?: Changed[] }

/**
 * Changes nothing where another replica has switched already.
 * @param row when the credential was staged
 * @param live the row of the snapshot
 * @throws Refusal `not_found` where it was removed; `conflict` where it was replaced and the credential is still being set
 */
export async function switchAdmin(
  tx: Knex.Transaction,
  row: DatabaseRow,
  live: DatabaseRow | undefined,
): Promise<Switched> {
  if (!live) throw refuse('not_found')
  const locked = await lockDatabase(tx, row.id)
  if (!locked?.staged) return { row: live, entry: { outcome: 'completed', resource: databaseResource(live) } }
  if (locked.revision !== live.revision) throw refuse('stale')
  if (live.revision !== row.revision) throw refuse('conflict', { detail: changedMeanwhile, retryAfterSeconds: 30 })
  const next = switched(live, locked.staged)
  await updateDatabase(tx, next)
  return {
    row: next,
    entry: {
      outcome: 'completed',
      resource: { ...databaseResource(next), revision: next.revision },
      change: { after: definitionOf(next) },
    },
    changed: [{ table: 'database', where: { id: next.id } }],
  }
}
