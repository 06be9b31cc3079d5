/** Checks a database at its server: connection, privileges, roles. Changes nothing. */
import type { Release } from '../../audit/record.ts'
import { databaseResource } from '../../secrets/databases/switch-admin.ts'
import type { AdminParts } from '../../secrets/databases/admin.ts'
import { checkDatabase } from '../../secrets/databases/check.ts'
import { rolePrefix } from '../../secrets/leases/role-name.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { databaseOf } from './find.ts'

type Checks = { ok: boolean; checks: Awaited<ReturnType<typeof checkDatabase>> }

export const createCheckDatabase =
  (parts: AdminParts) =>
  async (snapshot: Snapshot, name: string): Promise<Release<Checks>> => {
    const row = databaseOf(snapshot, name)
    const checks = await checkDatabase(parts, row, rolePrefix(snapshot.instanceId))
    const result = { ok: checks.every((check) => check.ok), checks }
    return {
      result,
      entry: { resource: databaseResource(row), detail: result },
      holds: () => true,
      whileClosed: true,
    }
  }
