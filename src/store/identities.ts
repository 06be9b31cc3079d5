/** The person behind an operator, as an OpenID provider identifies it. */
import type { Knex } from './database.ts'

type Identity = { issuer: string; subject: string }

/** Pins the identity at the first login. Returns the pinned one. */
export async function pinIdentity(
  tx: Knex.Transaction,
  operatorId: string,
  { issuer, subject }: Identity,
  now: Date,
): Promise<Identity> {
  await tx('operator_identity')
    .insert({ operator_id: operatorId, issuer, subject, since: now })
    .onConflict('operator_id')
    .ignore()
  const pinned: Identity | undefined = await tx('operator_identity')
    .where({ operator_id: operatorId })
    .first('issuer', 'subject')
  if (!pinned) throw new Error('the identity was not pinned')
  return pinned
}
