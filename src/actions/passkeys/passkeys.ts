/** Passkeys of operators: credentials of a browser or security key that log in without a password. */
import { refuse } from '../../errors.ts'
import { rightsMay } from '../../operators/rights.ts'
import type { Database } from '../../store/database.ts'
import { type PasskeyRow, readPasskeys, removePasskey } from '../../store/passkeys.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { endLogins } from '../../store/tokens.ts'
import type { ChangeAction, Context } from '../context.ts'
import { changedRows, operatorResource } from '../operators/state.ts'
import { targetOf } from '../operators/set-password.ts'
import { findByName } from '../registrations.ts'
import { accountCaller, operatorNamed } from '../tokens/rights.ts'
import { type EnrolParts, createEnrolActions } from './enrol.ts'

/** @throws Refusal `forbidden`, `not_found` */
const listPasskeys =
  ({ knex }: Pick<Database, 'knex'>) =>
  async (context: Pick<Context, 'caller'>, snapshot: Snapshot, name: string): Promise<PasskeyRow[]> => {
    const caller = accountCaller(context)
    const operatorName = operatorNamed(caller, name)
    if (operatorName !== caller.operator && !rightsMay(caller, 'operators.read')) throw refuse('forbidden')
    return readPasskeys(knex, findByName(snapshot.operators, operatorName).id)
  }

/** The other sessions of the operator end, since the passkey may have created them; an admin ends them all. */
const remove: ChangeAction<{ operator: string; id: string }> = async (
  context,
  tx,
  snapshot,
  { operator: name, id },
) => {
  const { operator, isOwn } = targetOf(context, snapshot, name)
  if (!(await removePasskey(tx, operator.id, id))) throw refuse('not_found', { detail: 'there is no such passkey' })
  const spared = isOwn ? accountCaller(context).tokenId : undefined
  const endedSessions = await endLogins(tx, operator.name, context.time, spared)
  return {
    result: undefined,
    entry: {
      resource: operatorResource(operator),
      detail: { step: 'passkey-removed', passkey: id, ...(endedSessions.length > 0 && { endedSessions }) },
    },
    changed: changedRows(operator),
  }
}

export const createPasskeyActions = (parts: EnrolParts & { db: Pick<Database, 'knex'> }) => ({
  ...createEnrolActions(parts),
  list: listPasskeys(parts.db),
  remove,
})
