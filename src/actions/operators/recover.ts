/** A new password for an operator that has lost its own, set on the server's host. The second factor and passkeys are removed. */
import type { Changed } from '../../audit/record.ts'
import type { EntryPart } from '../../audit/entry.ts'
import type { Knex } from '../../store/database.ts'
import { removePasskeys } from '../../store/passkeys.ts'
import { readLoginAccount, setPassword } from '../../store/passwords.ts'
import { removeSecondFactor } from '../../store/second-factors.ts'
import { endLogins } from '../../store/tokens.ts'
import { changedRows } from './state.ts'

/** @returns nothing where there is no enabled operator of that name */
export async function recoverOperator(
  tx: Knex.Transaction,
  name: string,
  hash: string,
  now: Date,
): Promise<{ entry: EntryPart; changed: Changed[] } | undefined> {
  const account = await readLoginAccount(tx, name, '')
  if (!account || account.disabled) return undefined
  await setPassword(tx, account.id, hash, now)
  await removeSecondFactor(tx, account.id)
  const removedPasskeys = await removePasskeys(tx, account.id)
  const endedSessions = await endLogins(tx, name, now)
  return {
    entry: {
      resource: { kind: 'operator', id: account.id, name },
      detail: { endedSessions, ...(removedPasskeys > 0 && { removedPasskeys }) },
    },
    changed: changedRows({ id: account.id, name }),
  }
}
