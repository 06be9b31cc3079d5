import type { Change, Changed } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import { hasAdmin, withOperator } from '../../operators/admins.ts'
import { rolesOf } from '../../operators/rights.ts'
import { boundOf } from '../../authorize/caller.ts'
import { type Bound, isWithin } from '../../names/bound.ts'
import type { Knex } from '../../store/database.ts'
import { setRolesOfTokens, updateOperator } from '../../store/operators.ts'
import { endLogins } from '../../store/tokens.ts'
import type { OperatorRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'

/** As an operator writes and reads it. `everything`: no bound. */
export type WrittenBound = Bound | 'everything'

export const shownBound = (bound: Bound | undefined): WrittenBound => bound ?? 'everything'

/** @param own the bound where none is written */
export function readWritten(bound: WrittenBound | undefined, own: Bound | undefined): Bound | undefined {
  if (bound === undefined) return own
  return bound === 'everything' ? undefined : bound
}

export type OperatorDefinition = Pick<OperatorRow, 'name' | 'role' | 'managedBy'> & { bound?: WrittenBound }

export const operatorState = ({ name, role, bound, disabled, managedBy }: OperatorRow) => ({
  name,
  role,
  bound: shownBound(bound),
  disabled,
  ...(managedBy !== undefined && { managedBy }),
})

export const operatorResource = ({ id, name, revision }: OperatorRow) => ({ kind: 'operator', id, name, revision })

/** The tokens are stamped too, so that servers of the previous version read them again. */
export const changedRows = ({ id, name }: Pick<OperatorRow, 'id' | 'name'>): Changed[] => [
  { table: 'operator', where: { id } },
  { table: 'api_token', where: { operator: name } },
]

/** A token may be narrower than its operator, which it sees and does not change. @throws Refusal `forbidden` */
export function checkTarget({ caller }: Pick<Context, 'caller'>, { bound }: OperatorRow): void {
  if (isWithin(bound, boundOf(caller))) return
  const detail = 'the operator has a wider bound than your token'
  throw refuse('forbidden', { errors: [{ pointer: '/path/name', detail }] })
}

/** @throws Refusal `forbidden` for a bound beyond the caller's own */
export function checkBound({ caller }: Pick<Context, 'caller'>, bound: Bound | undefined): void {
  if (isWithin(bound, boundOf(caller))) return
  const detail = 'is wider than the bound of your token'
  throw refuse('forbidden', { errors: [{ pointer: '/bound', detail }] })
}

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
  change: Partial<Pick<OperatorRow, 'role' | 'disabled'>> & {
    bound?: Bound | undefined
    managedBy?: string | undefined
  },
  now: Date,
): Promise<Change<OperatorRow>> {
  const { bound, managedBy, ...rest } = { ...old, ...change }
  const row = {
    ...rest,
    ...(bound && { bound }),
    ...(managedBy !== undefined && { managedBy }),
    revision: old.revision + 1,
    updatedAt: now,
  }
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
