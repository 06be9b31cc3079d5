/** Removes a database with its credential, where nothing uses it. */
import { refuse } from '../../errors.ts'
import { removeDatabase } from '../../store/databases.ts'
import { isRotatedIn } from '../../store/rotation-policies.ts'
import type { ChangeAction } from '../context.ts'
import { type NamedRevision, findAtRevision, removed } from '../registrations.ts'
import { lockedCredential, refuseGranted, refuseUsed } from './write.ts'

/** @throws Refusal `in_use` */
export const deleteDatabase: ChangeAction<NamedRevision> = async ({ time }, tx, snapshot, target) => {
  const row = findAtRevision(snapshot.databases, target)
  await lockedCredential(tx, row, true)
  refuseGranted(row, snapshot)
  if (await isRotatedIn(tx, row.name)) throw refuse('in_use', { detail: 'secrets are rotated in it' })
  await removeDatabase(tx, row.id, time)
  // Without the credential no role can be dropped.
  return { ...removed('database', row), placed: () => refuseUsed(tx, row) }
}
