/** A secret that a change concerns, and what the log records of it: its state, never a value. */
import type { Change } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import { rfc3339 } from '../../issue/lifetime.ts'
import { changedSecret, secretRevision } from '../../secrets/entry.ts'
import type { Knex } from '../../store/database.ts'
import type { SecretRow } from '../../store/rows.ts'
import { findSecret, lockSecret, updateSecret } from '../../store/secrets.ts'

/** A secret at the revision that the caller read. */
export type PathRevision = { path: string; expected: number }

/** Versions of a secret. */
export type PathVersions = { path: string; versions?: readonly number[] }

/** @throws Refusal `not_found` */
export async function secretAt(knex: Knex, path: string): Promise<SecretRow> {
  const secret = await findSecret(knex, path)
  if (!secret) throw refuse('not_found')
  return secret
}

/** Under its row's lock. @throws Refusal `not_found` */
export async function lockedSecret(tx: Knex.Transaction, path: string): Promise<SecretRow> {
  const secret = await lockSecret(tx, path)
  if (!secret) throw refuse('not_found')
  return secret
}

export const secretState = (row: SecretRow) => ({
  path: row.path,
  version: row.version,
  revision: row.revision,
  ...(row.description !== undefined && { description: row.description }),
  labels: row.labels,
  maxVersions: row.maxVersions,
  ...(row.managedBy !== undefined && { managedBy: row.managedBy }),
  ...(row.rotator !== undefined && { rotator: row.rotator }),
  createdAt: rfc3339(row.createdAt),
  updatedAt: rfc3339(row.updatedAt),
})

/** The entry of a change to a secret that stays. */
export const secretChange = (
  row: SecretRow,
  detail?: Record<string, unknown>,
): Pick<Change<unknown>, 'entry' | 'changed'> => ({
  entry: { resource: secretRevision(row), change: { after: secretState(row) }, ...(detail && { detail }) },
  changed: changedSecret(row),
})

/**
 * A change of versions that leaves values as they are.
 * @param count of the versions that were changed
 * @throws Refusal `not_found` where there were none
 */
export async function touched(
  tx: Knex.Transaction,
  secret: SecretRow,
  { versions, count }: { versions: readonly number[]; count: number },
  time: Date,
): Promise<Change<SecretRow>> {
  if (count === 0)
    throw refuse('not_found', { errors: [{ pointer: '/versions', detail: 'no version is in the state for it' }] })
  const row = { ...secret, revision: secret.revision + 1, updatedAt: time }
  await updateSecret(tx, row)
  return { result: row, ...secretChange(row, { versions }) }
}
