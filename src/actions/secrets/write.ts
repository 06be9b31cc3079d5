/**
 * Writing a version and making it the live one: what put and patch share. The append writes it, if the secret still has the
 * revision that was read and no rotation of it began. Otherwise the write is decided again.
 */
import type { Release } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import type { SealingKeyring } from '../../keys/data-keys.ts'
import { newId } from '../../names/id.ts'
import { refuseBesideTarget, rotationRuns } from '../../secrets/rotation/running.ts'
import type { Rotators } from '../../secrets/rotators/rotator.ts'
import { type SecretData, sealData } from '../../secrets/value.ts'
import type { Database } from '../../store/database.ts'
import type { SecretRow } from '../../store/rows.ts'
import type { VersionSource } from '../../store/secret-versions.ts'
import type { ReadWriteState, WriteState } from '../../store/write-states.ts'
import { type Context, operatorName } from '../context.ts'
import { secretChange } from './state.ts'
import type { WrittenStates } from './written.ts'

export type WriteParts = {
  db: Pick<Database, 'knex'>
  readWriteState: ReadWriteState
  written: WrittenStates
  keyring: SealingKeyring
  rotators: Rotators
  randomBytes: (size: number) => Buffer
}

export const defaultMaxVersions = 10

export type WrittenSecret = { secret: SecretRow; isNew: boolean }

/** @throws Refusal `conflict` where the secret's rotator or a running rotation forbids a write */
export function refuseUnwritable({ rotators }: Pick<WriteParts, 'rotators'>, { secret, isRotating }: WriteState): void {
  if (!secret) return
  refuseBesideTarget(rotators, secret)
  if (isRotating) throw rotationRuns()
}

type NewVersion = { data: SecretData; source: VersionSource; expiresAt?: Date }

/** Creates the secret where there is none. @throws Refusal `impossible`, `too_large` */
export function writeVersion(
  { keyring, randomBytes, written }: WriteParts,
  context: Pick<Context, 'caller' | 'time'>,
  path: string,
  { secret: old, lastVersion, versions }: WriteState,
  { data, source, expiresAt }: NewVersion,
): Release<WrittenSecret> {
  const { time } = context
  if (expiresAt && expiresAt <= time)
    throw refuse('impossible', { errors: [{ pointer: '/expiresAt', detail: 'must be in the future' }] })
  const version = lastVersion + 1
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
  const { id, maxVersions } = secret
  const destroyed = versions.slice(maxVersions - 1)
  const detail = {
    source,
    ...(expiresAt && { expiresAt: expiresAt.toISOString() }),
    ...(destroyed.length > 0 && { destroyed }),
  }
  const { entry } = secretChange(secret, detail)
  const write = {
    id,
    path,
    expected: old?.revision ?? 0,
    version,
    maxVersions,
    at: time,
    source,
    createdBy: operatorName(context),
    ...(expiresAt && { expiresAt }),
    sealed: sealData(keyring, secret, version, data),
    destroyed,
  }
  // Operators mend secrets also while issuing is closed for review.
  return {
    result: { secret, isNew: !old },
    entry,
    effects: { write },
    whileClosed: true,
    appended: () =>
      written.keep(path, {
        secret,
        lastVersion: version,
        isRotating: false,
        versions: [version, ...versions.slice(0, maxVersions - 1)],
      }),
  }
}
