import type { Change, Changed } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import { hasAdmin, withOperator } from '../../operators/admins.ts'
import { rolesOf } from '../../operators/rights.ts'
import type { Knex } from '../../store/database.ts'
import { setRolesOfTokens, updateOperator } from '../../store/operators.ts'
import { endLogins } from '../../store/tokens.ts'
import type { OperatorRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'

export type OperatorDefinition = Pick<OperatorRow, 'name' | 'role'>

export const operatorState = ({ name, role, disabled }: OperatorRow) => ({ name, role, disabled })

export const operatorResource = ({ id, name, revision }: OperatorRow) => ({ kind: 'operator', id, name, revision })

/** The tokens are stamped too, so that servers of the previous version read them again. */
export const changedRows = ({ id, name }: Pick<OperatorRow, 'id' | 'name'>): Changed[] => [
  { table: 'operator', where: { id } },
  { table: 'api_token', where: { operator: name } },
]

type Accounts = Pick<Snapshot, 'operators' | 'apiTokens'>

/** @throws Refusal `conflict` where no admin who can act would remain */
export function keepAdmin(before: Accounts, after: Accounts, now: Date): void {
  if (!hasAdmin(before, now) || hasAdmin(after, now)) return
  const detail =
    'this would leave no enabled admin with a live admin token or a password: create a token for another admin first, or replace this one'
  throw refuse('conflict', { detail })
}

/** Writes an operator at its next revision, and ends its login sessions. @throws Refusal `conflict` */
export async function updated(
  tx: Knex.Transaction,
  snapshot: Snapshot,
  old: OperatorRow,
  change: Partial<Pick<OperatorRow, 'role' | 'disabled'>>,
  now: Date,
): Promise<Change<OperatorRow>> {
  const row = { ...old, ...change, revision: old.revision + 1, updatedAt: now }
  keepAdmin(snapshot, withOperator(snapshot, old.name, row), now)
  await updateOperator(tx, row)
  await setRolesOfTokens(tx, row.name, rolesOf(row))
  const endedSessions = await endLogins(tx, row.name, now)
  return {
    result: row,
    entry: {
      resource: operatorResource(row),
      change: { before: operatorState(old), after: operatorState(row) },
      ...(endedSessions.length > 0 && { detail: { endedSessions } }),
    },
    changed: changedRows(row),
  }
}
