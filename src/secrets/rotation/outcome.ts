/** The steps of a rotation, each in the transaction of its entry. The rows of the rotation and its secret are locked. */
import type { EntryPart } from '../../audit/entry.ts'
import type { Changed } from '../../audit/record.ts'
import type { Knex } from '../../store/database.ts'
import { type RotationRow, retireVersions, unstage, updateRotation } from '../../store/rotations.ts'
import type { SecretRow } from '../../store/rows.ts'
import { destroyVersions, listVersions } from '../../store/secret-versions.ts'
import { updateSecret } from '../../store/secrets.ts'
import { changedSecret, secretRevision } from '../entry.ts'
import type { Consumer } from './consumers.ts'
import { type Why, planOf } from './policy.ts'

export type Step = { entry: EntryPart; changed?: Changed[] }

/** Consumers named in one entry. */
const maxNamed = 20

export const namesOf = (consumers: readonly Pick<Consumer, 'holder'>[]): string[] =>
  consumers.slice(0, maxNamed).map((consumer) => consumer.holder)

const withoutClaim = (rotation: RotationRow, now: Date): RotationRow => {
  const { lockedUntil: _, lastError: __, nextAttemptAt: ___, ...rest } = rotation
  return { ...rest, attempts: 0, updatedAt: now }
}

/** Makes the new version live, after its value was set at the target. */
export async function makeLive(
  tx: Knex.Transaction,
  secret: SecretRow,
  rotation: RotationRow,
  now: Date,
): Promise<Step> {
  const { toVersion, fromVersion, attempts } = rotation
  const row: SecretRow = { ...secret, version: toVersion, revision: secret.revision + 1, updatedAt: now }
  await unstage(tx, secret.id, toVersion)
  await updateSecret(tx, row)
  const destroyed = await pruneVersions(tx, row, now, [fromVersion])
  const deadlineAt = new Date(now.getTime() + planOf(rotation).deadlineSeconds * 1000)
  await updateRotation(tx, { ...withoutClaim(rotation, now), state: 'issued', nextAttemptAt: now, deadlineAt })
  return {
    entry: {
      outcome: 'completed',
      resource: secretRevision(row),
      detail: {
        rotation: rotation.id,
        version: toVersion,
        attempt: attempts,
        deadlineAt: deadlineAt.toISOString(),
        ...(destroyed.length > 0 && { destroyed }),
      },
    },
    changed: changedSecret(row),
  }
}

/** Retires the versions before: they open nothing at the target, and can no longer be read. */
export async function endOlder(
  tx: Knex.Transaction,
  secret: SecretRow,
  rotation: RotationRow,
  { why, holders }: { why: Why; holders: string[] },
  now: Date,
): Promise<Step> {
  const row: SecretRow = { ...secret, revision: secret.revision + 1, updatedAt: now }
  const { alike = [] } = planOf(rotation)
  const versions = await retireVersions(tx, secret.id, { below: rotation.toVersion, alike }, now)
  const destroyed = await pruneVersions(tx, row, now)
  await updateSecret(tx, row)
  await updateRotation(tx, { ...withoutClaim(rotation, now), state: 'retired', endedAt: now })
  return {
    entry: {
      outcome: 'completed',
      resource: secretRevision(row),
      detail: {
        rotation: rotation.id,
        why,
        versions,
        ...(rotation.attempts > 0 && { attempt: rotation.attempts }),
        ...(holders.length > 0 && { stillHeldBy: holders }),
        ...(destroyed.length > 0 && { destroyed }),
      },
    },
    changed: changedSecret(row),
  }
}

/** Ends a rotation whose value never became live, and destroys the value. */
export async function giveUp(
  tx: Knex.Transaction,
  secret: SecretRow,
  rotation: RotationRow,
  lastError: string,
  now: Date,
): Promise<void> {
  await destroyVersions(tx, secret.id, [rotation.toVersion], now)
  const { lockedUntil: _, nextAttemptAt: __, ...rest } = rotation
  await updateRotation(tx, { ...rest, state: 'failed', lastError, updatedAt: now, endedAt: now })
}

/**
 * Destroys the oldest versions beyond the secret's `maxVersions`.
 * @param needed versions that a running rotation needs
 * @returns the destroyed versions
 */
async function pruneVersions(
  tx: Knex.Transaction,
  secret: Pick<SecretRow, 'id' | 'maxVersions'>,
  now: Date,
  needed: readonly number[] = [],
): Promise<number[]> {
  const rows = await listVersions(tx, secret.id)
  const beyond = rows
    .filter((row) => !row.staged && !row.destroyedAt)
    .slice(secret.maxVersions)
    .map((row) => row.version)
    .filter((version) => !needed.includes(version))
  await destroyVersions(tx, secret.id, beyond, now)
  return beyond
}
