/** The actions on databases. */
import type { Snapshot } from '../../store/snapshot.ts'
import { findByName, managedBy } from '../registrations.ts'
import { createCheckDatabase } from './check.ts'
import { createNewDatabase } from './create.ts'
import { deleteDatabase } from './delete.ts'
import { createReplaceDatabase } from './replace.ts'
import { createRotateAdmin } from './rotate-admin.ts'
import type { DatabaseParts } from './write.ts'

export type DatabaseActions = ReturnType<typeof createDatabaseActions>

export const createDatabaseActions = (parts: DatabaseParts) => ({
  list: ({ databases }: Snapshot, manager?: string) => managedBy(databases.values(), manager),
  get: ({ databases }: Snapshot, name: string) => findByName(databases, name),
  create: createNewDatabase(parts),
  replace: createReplaceDatabase(parts),
  delete: deleteDatabase,
  check: createCheckDatabase(parts),
  rotateAdmin: createRotateAdmin(parts),
})
