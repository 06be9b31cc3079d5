import { withOperator } from '../../operators/admins.ts'
import { removeOperator } from '../../store/operators.ts'
import { removePassword } from '../../store/passwords.ts'
import type { ChangeAction } from '../context.ts'
import { type NamedRevision, findAtRevision } from '../registrations.ts'
import { changedRows, checkTarget, keepAdmin, operatorResource, operatorState } from './state.ts'

/** Removes an operator and revokes its tokens, so that none works for a later operator of that name. */
export const deleteOperator: ChangeAction<NamedRevision> = async ({ caller, time }, tx, snapshot, target) => {
  const row = findAtRevision(snapshot.operators, target)
  checkTarget({ caller }, row)
  keepAdmin(snapshot, withOperator(snapshot, row.name, undefined), time)
  const revokedTokenIds = await removeOperator(tx, row, time)
  await removePassword(tx, row.id)
  return {
    result: undefined,
    entry: {
      resource: operatorResource(row),
      change: { before: operatorState(row), after: { deleted: true } },
      ...(revokedTokenIds.length > 0 && { detail: { revokedTokenIds } }),
    },
    changed: changedRows(row),
  }
}
