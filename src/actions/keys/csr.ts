import type { Change } from '../../audit/record.ts'
import { describeKey } from '../../keys/apply-changes.ts'
import { requestedFrom } from '../../keys/lifetimes.ts'
import { newRequestedCa } from '../../keys/new-key.ts'
import type { Rotator } from '../../keys/rotate.ts'
import type { Knex } from '../../store/database.ts'
import { insertKey, lockKeys } from '../../store/keys.ts'
import type { Context } from '../context.ts'

/** A new issuing key, and the request for an upstream CA to sign. */
export const requestCa =
  ({ rotator }: { rotator: Pick<Rotator, 'maker'> }) =>
  async ({ time }: Pick<Context, 'time'>, tx: Knex.Transaction): Promise<Change<{ keyId: string; csr: string }>> => {
    await lockKeys(tx)
    const { row, csr } = newRequestedCa(rotator.maker, requestedFrom(time))
    await insertKey(tx, row)
    return {
      result: { keyId: row.id, csr },
      entry: { resource: describeKey(row).resource, change: { after: { csr } } },
      changed: [{ table: 'signing_key', where: { id: row.id } }],
    }
  }
