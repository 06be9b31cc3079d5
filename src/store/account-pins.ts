/** The immutable ids seen behind accounts' names, and the sessions that end when one is replaced. */
import type { Knex } from 'knex'

type Account = { attestorId: string; account: string }

/** Marks every other id of the account as superseded. Returns the ids that this call superseded. */
export async function supersedePins(
  tx: Knex.Transaction,
  { attestorId, account }: Account,
  uid: string,
  now: Date,
): Promise<string[]> {
  const rows: { uid: string }[] = await tx('account_pin')
    .where({ attestor_id: attestorId, account })
    .whereNot({ uid })
    .whereNull('superseded_at')
    .update({ superseded_at: now })
    .returning('uid')
  return rows.map((row) => row.uid)
}

/** Returns false when the pin already exists. */
export async function insertPin(
  tx: Knex.Transaction,
  { attestorId, account }: Account,
  uid: string,
  now: Date,
): Promise<boolean> {
  const rows: unknown[] = await tx('account_pin')
    .insert({ attestor_id: attestorId, account, uid, first_seen: now })
    .onConflict(['attestor_id', 'account', 'uid'])
    .ignore()
    .returning('uid')
  return rows.length === 1
}

/** Ends every live session of the account. Returns their number. */
export const endAccountSessions = (
  tx: Knex.Transaction,
  { attestorId, account }: Account,
  reason: string,
  now: Date,
): Promise<number> =>
  tx('session')
    .where({ attestor_id: attestorId, account })
    .whereNull('ended_at')
    .update({ ended_at: now, end_reason: reason })
