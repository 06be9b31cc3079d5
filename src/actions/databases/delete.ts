/** Removes a database with its credential, where nothing uses it. */
import type { Change } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import type { Knex } from '../../store/database.ts'
import { removeDatabase } from '../../store/databases.ts'
import { isRotatedIn } from '../../store/rotation-policies.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { findAtRevision, removed } from '../registrations.ts'
import { lockedCredential, refuseGranted, refuseUsed } from './in-use.ts'

/** @throws Refusal `in_use` */
export async function deleteDatabase(
  { time }: Context,
  tx: Knex.Transaction,
  snapshot: Snapshot,
  { name, expected }: { name: string; expected: number },
): Promise<Change<undefined>> {
  const row = findAtRevision(snapshot.databases, name, expected)
  await lockedCredential(tx, row, true)
  refuseGranted(row, snapshot)
  if (await isRotatedIn(tx, name)) throw refuse('in_use', { detail: 'secrets are rotated in it' })
  await removeDatabase(tx, row.id, time)
  // Without the credential no role can be dropped.
  return { ...removed('database', row), placed: () => refuseUsed(tx, row) }
}
