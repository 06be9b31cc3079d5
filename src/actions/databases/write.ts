/** What create and replace share: the definition that an operator writes, and the entry of a change. */
import { refuse } from '../../errors.ts'
import type { AdminParts } from '../../secrets/databases/admin.ts'
import { type DatabaseDefinition, definitionOf, faultsOf } from '../../secrets/databases/definition.ts'
import { claimants } from '../../secrets/rotation/claims.ts'
import { roleAt } from '../../secrets/rotators/postgres.ts'
import type { Rotators } from '../../secrets/rotators/rotator.ts'
import type { Knex } from '../../store/database.ts'
import type { DatabaseRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { impossible, written } from '../registrations.ts'

export type DatabaseParts = AdminParts & { randomBytes: (size: number) => Buffer; rotators: Rotators }

type Defaulted = 'port' | 'defaultLifetimeSeconds' | 'maxLifetimeSeconds'

/** A definition as an operator writes it, with the administrative credential where that is set. */
export type DatabaseInput = Omit<DatabaseDefinition, Defaulted | 'admin'> &
  Partial<Pick<DatabaseDefinition, Defaulted>> & { admin: { username: string; password?: string } }

export type WrittenDatabase = { database: DatabaseRow; isNew: boolean }

/** @throws Refusal `impossible` with every fault */
export function readDefinition({ admin, ...rest }: DatabaseInput): {
  definition: DatabaseDefinition
  password: string | undefined
} {
  const definition: DatabaseDefinition = {
    ...rest,
    port: rest.port ?? 5432,
    admin: { username: admin.username },
    defaultLifetimeSeconds: rest.defaultLifetimeSeconds ?? Math.min(3600, rest.maxLifetimeSeconds ?? 3600),
    maxLifetimeSeconds: rest.maxLifetimeSeconds ?? Math.max(86_400, rest.defaultLifetimeSeconds ?? 0),
  }
  const errors = faultsOf(definition)
  if (errors.length > 0) throw refuse('impossible', { errors })
  return { definition, password: admin.password }
}

/** A rotation policy that changes the administrative role would lock Purser out. @throws Refusal `impossible` */
export async function refuseRotatedAdmin(
  tx: Knex.Transaction,
  rotators: Rotators,
  definition: DatabaseDefinition,
  snapshot: Snapshot,
): Promise<void> {
  const rotated = await claimants(tx, { rotators, snapshot, kind: definition.kind })
  const path = rotated.get(roleAt(definition, definition.admin.username))
  if (path !== undefined) throw impossible('/admin/username', `is changed by the rotation policy of ${path}`)
}

export const databaseChange = (row: DatabaseRow) => written('database', row, definitionOf(row))
