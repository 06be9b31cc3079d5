/** Brings deleted versions back; the live one, unless others are named. */
import type { SecretRow } from '../../store/rows.ts'
import { undeleteVersions } from '../../store/secret-versions.ts'
import type { ChangeAction } from '../context.ts'
import { type PathVersions, lockedSecret, touched } from './state.ts'

export const undeleteSecret: ChangeAction<PathVersions, SecretRow> = async ({ time }, tx, _, input) => {
  const secret = await lockedSecret(tx, input.path)
  const versions = input.versions ?? [secret.version]
  return touched(tx, secret, { versions, count: await undeleteVersions(tx, secret.id, versions) }, time)
}
