/** The actions on databases. */
import { definitionOf } from '../../secrets/databases/definition.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { createCheckDatabase } from './check.ts'
import { createNewDatabase } from './create.ts'
import { deleteDatabase } from './delete.ts'
import { databaseOf } from './find.ts'
import { createReplaceDatabase } from './replace.ts'
import { createRotateAdmin } from './rotate-admin.ts'
import type { DatabaseParts } from './write.ts'

export type DatabaseActions = ReturnType<typeof createDatabaseActions>

export const createDatabaseActions = (parts: DatabaseParts) => ({
  list: ({ databases }: Snapshot, managedBy: string | undefined) =>
    [...databases.values()].filter((row) => managedBy === undefined || definitionOf(row).managedBy === managedBy),
  get: databaseOf,
  create: createNewDatabase(parts),
  replace: createReplaceDatabase(parts),
  delete: deleteDatabase,
  check: createCheckDatabase(parts),
  rotateAdmin: createRotateAdmin(parts),
})
