/** Brings deleted versions back; the live one, unless others are named. */
import type { Change } from '../../audit/record.ts'
import type { Knex } from '../../store/database.ts'
import type { SecretRow } from '../../store/rows.ts'
import { undeleteVersions } from '../../store/secret-versions.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { lockedSecret } from './live.ts'
import { touched } from './touch.ts'

export async function undeleteSecret(
  { time }: Context,
  tx: Knex.Transaction,
  snapshot: Snapshot,
  input: { path: string; versions?: readonly number[] },
): Promise<Change<SecretRow>> {
  const secret = await lockedSecret(tx, snapshot, input.path)
  const versions = input.versions ?? [secret.version]
  return touched(tx, secret, { versions, count: await undeleteVersions(tx, secret.id, versions) }, time)
}
