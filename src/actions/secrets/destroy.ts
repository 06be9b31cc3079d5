/** Destroys the ciphertexts of versions, or the whole secret with its rotation policy. */
import { changedSecret, secretRevision } from '../../secrets/entry.ts'
import { refuseWhileRotating } from '../../secrets/rotation/running.ts'
import { removePolicy } from '../../store/rotation-policies.ts'
import type { SecretRow } from '../../store/rows.ts'
import { destroyVersions, listVersions } from '../../store/secret-versions.ts'
import { removeSecret } from '../../store/secrets.ts'
import type { ChangeAction } from '../context.ts'
import { type PathVersions, lockedSecret, touched } from './state.ts'

/** @returns the secret; undefined where all of it was destroyed */
export const destroySecret: ChangeAction<PathVersions, SecretRow | undefined> = async ({ time }, tx, _, input) => {
  const secret = await lockedSecret(tx, input.path)
  await refuseWhileRotating(tx, secret, input.versions)
  if (input.versions) {
    const { versions } = input
    return touched(tx, secret, { versions, count: await destroyVersions(tx, secret.id, versions, time) }, time)
  }
  await removePolicy(tx, secret.id)
  const versions = (await listVersions(tx, secret.id)).map((row) => row.version)
  await destroyVersions(tx, secret.id, versions, time)
  await removeSecret(tx, secret.id, time)
  return {
    result: undefined,
    entry: { resource: secretRevision(secret), detail: { all: true, versions: versions.length } },
    changed: changedSecret(secret),
  }
}
