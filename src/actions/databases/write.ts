/** What create, replace and delete share: the definition that an operator writes, and what a database in use allows. */
import { entryOf } from '../../authorize/entries.ts'
import { refuse } from '../../errors.ts'
import type { AdminParts } from '../../secrets/databases/admin.ts'
import { databaseDefaults } from '../../secrets/databases/defaults.ts'
import { type DatabaseDefinition, definitionOf, faultsOf } from '../../secrets/databases/definition.ts'
import { claimants } from '../../secrets/rotation/policy.ts'
import { roleAt } from '../../secrets/rotators/postgres.ts'
import type { Rotators } from '../../secrets/rotators/rotator.ts'
import type { Knex } from '../../store/database.ts'
import { lockDatabase } from '../../store/databases.ts'
import { hasOpenLeases } from '../../store/leases.ts'
import { rotatesIn } from '../../store/rotations.ts'
import type { DatabaseRow, SealedValue } from '../../store/rows.ts'
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
    ...databaseDefaults(rest),
    ...rest,
    admin: { username: admin.username },
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

/**
 * Locks the row, which equals the snapshot's.
 * @returns the credential that is being set: the server may take it already
 * @throws Refusal `stale`; `conflict` while the credential is being set, unless the change replaces it
 */
export async function lockedCredential(
  tx: Knex.Transaction,
  row: DatabaseRow,
  replacesAdmin: boolean,
): Promise<SealedValue | undefined> {
  const locked = await lockDatabase(tx, row.id)
  if (locked?.revision !== row.revision) throw refuse('stale')
  if (locked.staged && !replacesAdmin) {
    const detail = 'its administrative credential is being replaced: wait for it, or give one'
    throw refuse('conflict', { errors: [{ pointer: '/admin/password', detail }] })
  }
  return locked.staged
}

/** Runs under the head lock: no lease and no rotation begins meanwhile. @throws Refusal `in_use` */
export async function refuseUsed(tx: Knex.Transaction, { id, name }: DatabaseRow, advice = ''): Promise<void> {
  const leased = 'leases on it are open: they end once no workload entry grants it, or are revoked'
  if (await hasOpenLeases(tx, id)) throw refuse('in_use', { detail: leased + advice })
  const rotated = 'a rotation in it has not ended: retire, cancel or roll it back (:rotation)'
  if (await rotatesIn(tx, name)) throw refuse('in_use', { detail: rotated + advice })
}

/** @throws Refusal `in_use` */
export function refuseGranted(row: DatabaseRow, { workloads }: Snapshot): void {
  const users = [...workloads.values()]
    .filter((workload) => entryOf(workload).fixed.databases.includes(row.name))
    .map((workload) => workload.name)
  if (users.length === 0) return
  throw refuse('in_use', { detail: `workload entries grant it: ${users.toSorted().slice(0, 5).join(', ')}` })
}
