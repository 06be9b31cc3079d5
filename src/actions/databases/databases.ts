/** The actions on databases. */
import { checkDatabase } from '../../secrets/databases/check.ts'
import { rolePrefix } from '../../secrets/leases/role-name.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { checked, findByName, managedBy } from '../registrations.ts'
import { createNewDatabase } from './create.ts'
import { deleteDatabase } from './delete.ts'
import { createReplaceDatabase } from './replace.ts'
import { createRotateAdmin } from './rotate-admin.ts'
import type { DatabaseParts } from './write.ts'

export const createDatabaseActions = (parts: DatabaseParts) => ({
  list: ({ databases }: Snapshot, manager?: string) => managedBy(databases.values(), manager),
  get: ({ databases }: Snapshot, name: string) => findByName(databases, name),
  create: createNewDatabase(parts),
  replace: createReplaceDatabase(parts),
  delete: deleteDatabase,
  check: async (snapshot: Snapshot, name: string) => {
    const row = findByName(snapshot.databases, name)
    return checked('database', row, await checkDatabase(parts, row, rolePrefix(snapshot.instanceId)))
  },
  rotateAdmin: createRotateAdmin(parts),
})
