import { refuse } from '../../errors.ts'
import { byName } from '../../store/registrations.ts'
import type { DatabaseRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'

/** @throws Refusal `not_found` */
export function databaseOf(snapshot: Pick<Snapshot, 'databases'>, name: string): DatabaseRow {
  const row = byName(snapshot.databases, name)
  if (!row) throw refuse('not_found')
  return row
}
