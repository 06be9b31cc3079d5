/** A change of versions that leaves values as they are: what delete, undelete and destroy share. */
import type { Change } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import type { Knex } from '../../store/database.ts'
import type { SecretRow } from '../../store/rows.ts'
import { updateSecret } from '../../store/secrets.ts'
import { secretChange } from './state.ts'

/**
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
