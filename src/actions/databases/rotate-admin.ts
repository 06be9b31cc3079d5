/** Replaces the administrative credential of a database by one that only Purser knows. */
import type { Change, Recorded } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import {
  type AdminRotationParts,
  databaseResource,
  nextAdmin,
  setStaged,
  switchAdmin,
} from '../../secrets/databases/admin-rotation.ts'
import { targetError } from '../../secrets/databases/target-error.ts'
import { lockDatabase, stageAdmin } from '../../store/databases.ts'
import type { DatabaseRow } from '../../store/rows.ts'
import type { Acting } from '../context.ts'
import { findByName } from '../registrations.ts'

export const createRotateAdmin =
  (parts: AdminRotationParts) =>
  async ({ begin, finish }: Acting, name: string): Promise<Recorded<DatabaseRow>> => {
    const { result: row } = await begin(async (tx, snapshot): Promise<Change<DatabaseRow>> => {
      const database = findByName(snapshot.databases, name)
      const locked = await lockDatabase(tx, database.id)
      if (locked?.revision !== database.revision) throw refuse('stale')
      // A credential that is staged already is set: the server may take it.
      if (!locked.staged) await stageAdmin(tx, database.id, nextAdmin(parts, database))
      return { result: database, entry: { outcome: 'intended', resource: databaseResource(database) } }
    })
    try {
      await setStaged(parts, row)
    } catch (error) {
      const { fault, detail } = targetError(error)
      await finish(async () => ({
        result: undefined,
        entry: { outcome: 'failed', resource: databaseResource(row), detail: { fault, detail } },
      }))
      throw refuse('unavailable', { detail: `the credential stays as it is, and it is tried again: ${detail}` })
    }
    return finish(async (tx, snapshot) => {
      const { row: result, ...change } = await switchAdmin(tx, row, snapshot.databases.get(row.id))
      return { result, ...change }
    })
  }
