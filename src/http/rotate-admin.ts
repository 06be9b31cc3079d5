/** The administrative credential of a database, replaced by one that nobody but Purser has ever seen. */
import type { Change } from '../audit/record.ts'
import { refuse } from '../errors.ts'
import type { AdminParts } from '../secrets/databases/admin.ts'
import { nextAdmin, setStaged } from '../secrets/databases/admin-rotation.ts'
import { databaseResource, switchAdmin } from '../secrets/databases/switch-admin.ts'
import { targetError } from '../secrets/databases/target-error.ts'
import { lockDatabase, stageAdmin, stagedAdmin } from '../store/databases.ts'
import type { DatabaseRow } from '../store/rows.ts'
import { findDatabase } from './databases.ts'
import { showDatabase } from './database-view.ts'
import { etag } from './preconditions.ts'
import { json } from './request.ts'
import type { Act } from './route.ts'

export type RotateAdminParts = AdminParts & { randomBytes: (size: number) => Buffer }

export function createRotateAdmin(parts: RotateAdminParts): Act {
  return async (request, { begin, finish }) => {
    const { result: row } = await begin(async (tx, snapshot): Promise<Change<DatabaseRow>> => {
      const found = findDatabase(request, snapshot)
      const locked = await lockDatabase(tx, found.id)
      if (locked?.revision !== found.revision) throw refuse('stale')
      // One that is being set already is gone on with: the server may have it.
      if (!locked.staged) await stageAdmin(tx, found.id, nextAdmin(parts, found, parts.randomBytes))
      return { result: found, entry: { outcome: 'intended', resource: databaseResource(found) } }
    })
    try {
      const staged = await stagedAdmin(parts.db.knex, row.id)
      if (staged?.revision === row.revision) await setStaged(parts, row, staged.next, parts.randomBytes)
    } catch (error) {
      const { fault, detail } = targetError(error)
      await finish(async () => ({
        result: undefined,
        entry: { outcome: 'failed', resource: databaseResource(row), detail: { fault, detail } },
      }))
      throw refuse('unavailable', { detail: `the credential stays as it is, and it is tried again: ${detail}` })
    }
    return finish(async (tx, snapshot) => {
      const { row: live, ...change } = await switchAdmin(tx, row, snapshot.databases.get(row.id))
      return { result: json(showDatabase(live), { headers: etag(live.revision) }), ...change }
    })
  }
}
