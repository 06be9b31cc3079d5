/** Checks a database at its server: connection, privileges, roles. Changes nothing. */
import type { AdminParts } from '../../secrets/databases/admin.ts'
import { checkDatabase } from '../../secrets/databases/check.ts'
import { rolePrefix } from '../../secrets/leases/role-name.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { checked, findByName } from '../registrations.ts'

export const createCheckDatabase = (parts: AdminParts) => async (snapshot: Snapshot, name: string) => {
  const row = findByName(snapshot.databases, name)
  return checked('database', row, await checkDatabase(parts, row, rolePrefix(snapshot.instanceId)))
}
