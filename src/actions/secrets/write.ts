/** Writing a version and making it the live one: what put and patch share. */
import type { Change } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import type { SealingKeyring } from '../../keys/data-keys.ts'
import { newId } from '../../names/id.ts'
import { pruneVersions } from '../../secrets/rotation/outcome.ts'
import { refuseBesideTarget, refuseWhileRotating } from '../../secrets/rotation/running.ts'
import type { Rotators } from '../../secrets/rotators/rotator.ts'
import { type SecretData, sealData } from '../../secrets/value.ts'
import { type Knex, isUniqueViolation } from '../../store/database.ts'
import type { SecretRow } from '../../store/rows.ts'
import { type VersionSource, insertVersion } from '../../store/secret-versions.ts'
import { insertSecret, lastVersionOf, updateSecret } from '../../store/secrets.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { type Context, operatorName } from '../context.ts'
import { lockedSecret, secretChange } from './state.ts'

export type WriteParts = { keyring: SealingKeyring; rotators: Rotators; randomBytes: (size: number) => Buffer }

export const defaultMaxVersions = 10

export type WrittenSecret = { secret: SecretRow; isNew: boolean }

/** The secret under its row's lock, where neither its rotator nor a running rotation forbids a write. */
export async function writableSecret(
  rotators: Rotators,
  path: string,
  tx: Knex.Transaction,
  snapshot: Snapshot,
): Promise<SecretRow> {
  const secret = await lockedSecret(tx, snapshot, path)
  refuseBesideTarget(rotators, secret)
  await refuseWhileRotating(tx, secret)
  return secret
}

/** Creates the secret where there is none. @throws Refusal `impossible`, `too_large` */
export async function writeVersion(
  { keyring, randomBytes }: WriteParts,
  context: Pick<Context, 'caller' | 'time'>,
  tx: Knex.Transaction,
  old: SecretRow | undefined,
  { path, data, source, expiresAt }: { path: string; data: SecretData; source: VersionSource; expiresAt?: Date },
): Promise<Change<WrittenSecret>> {
  const { time } = context
  const version = (await lastVersionOf(tx, path)) + 1
  const secret: SecretRow = old
    ? { ...old, version, revision: old.revision + 1, updatedAt: time }
    : {
        id: newId('sec', randomBytes),
        path,
        version,
        revision: 1,
        labels: {},
        maxVersions: defaultMaxVersions,
        createdAt: time,
        updatedAt: time,
      }
  if (expiresAt && expiresAt <= time)
    throw refuse('impossible', { errors: [{ pointer: '/expiresAt', detail: 'must be in the future' }] })
  const sealed = sealData(keyring, secret, version, data)
  if (old) await updateSecret(tx, secret)
  else await insertNew(tx, secret)
  const row = { secretId: secret.id, version, sealed, staged: false, source, createdBy: operatorName(context) }
  await insertVersion(tx, { ...row, createdAt: time, ...(expiresAt && { expiresAt }) })
  const destroyed = await pruneVersions(tx, secret, time)
  const detail = {
    source,
    ...(expiresAt && { expiresAt: expiresAt.toISOString() }),
    ...(destroyed.length > 0 && { destroyed }),
  }
  return { result: { secret, isNew: !old }, ...secretChange(secret, detail) }
}

/** Two replicas may create one path at once: the later one decides again. */
async function insertNew(tx: Knex.Transaction, row: SecretRow): Promise<void> {
  try {
    await insertSecret(tx, row)
  } catch (error) {
    throw isUniqueViolation(error) ? refuse('stale') : error
  }
}
