/** Removes a database with its credential, where nothing uses it. */
import type { Change } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import type { Knex } from '../../store/database.ts'
import { removeDatabase } from '../../store/databases.ts'
import { isRotatedIn } from '../../store/rotation-policies.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { type Context, checkRevision } from '../context.ts'
import { databaseOf } from './find.ts'
import { lockedCredential, refuseGranted, refuseUsed } from './in-use.ts'
import { changedDatabase, databaseChange } from './write.ts'

/** @throws Refusal `in_use` */
export async function deleteDatabase(
  { time }: Context,
  tx: Knex.Transaction,
  snapshot: Snapshot,
  { name, expected }: { name: string; expected: number },
): Promise<Change<undefined>> {
  const row = databaseOf(snapshot, name)
  checkRevision(expected, row.revision)
  await lockedCredential(tx, row, true)
  refuseGranted(row, snapshot)
  if (await isRotatedIn(tx, name)) throw refuse('in_use', { detail: 'secrets are rotated in it' })
  await removeDatabase(tx, row.id, time)
  const { resource } = databaseChange(row).entry
  return {
    result: undefined,
    entry: { ...(resource && { resource }) },
    changed: changedDatabase(row),
    // Without the credential no role can be dropped.
    placed: () => refuseUsed(tx, row),
  }
}
