import { cut } from '../../audit/entry.ts'
import type { AccountCaller } from '../../authorize/caller.ts'
import { refuse } from '../../errors.ts'
import { isLiveToken } from '../../operators/admins.ts'
import { covers } from '../../operators/permissions.ts'
import { narrowest } from '../../operators/rights.ts'
import type { OperatorRow, Role } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { ChangeAction } from '../context.ts'
import { type WrittenBound, readWritten } from '../operators/state.ts'
import { impossible } from '../registrations.ts'
import { type ApiTokenParts, type CreatedToken, newApiToken } from './new-api-token.ts'
import { accountCaller, checkOwn, checkPassedOn, operatorNamed } from './rights.ts'

export const defaultTokenSeconds = 30 * 24 * 3600
/** Live tokens of one operator: every replica holds all of them in memory. */
const maxLive = 100

type ApiTokenSpec = {
  operator?: string
  role?: Role
  routes?: readonly string[]
  bound?: WrittenBound
  lifetimeSeconds?: number
  description?: string
}

/**
 * Creates a token for the caller itself, or, as an admin, for any operator. Without a role it has the widest that both may
 * have, and without routes or a
 * bound those of the caller's own token.
 */
export const createToken =
  (parts: ApiTokenParts): ChangeAction<ApiTokenSpec, CreatedToken> =>
  async (context, tx, snapshot, { operator: name, role: wanted, lifetimeSeconds = defaultTokenSeconds, ...spec }) => {
    const caller = accountCaller(context)
    const owner = operatorNamed(caller, name)
    checkOwn(caller, owner)
    const operator = snapshot.operators.get(owner)
    if (!operator) throw impossible('/operator', 'there is no operator of that name')
    const role = wanted ?? defaultRole(caller, operator)
    const routes = spec.routes ?? caller.routes
    const bound = readWritten(spec.bound, caller.bound)
    checkPassedOn(caller, { role, ...(routes && { routes }), ...(bound && { bound }) })
    checkOperator(operator, role)
    checkRoom(snapshot, owner, context.time)
    return newApiToken(parts, tx, {
      operator: owner,
      role,
      ...(routes && { routes: [...new Set(routes)].sort() }),
      ...(bound && { bound }),
      ...(spec.description !== undefined && { description: cut(spec.description) }),
      createdAt: context.time,
      lifetimeSeconds,
    })
  }

/** @throws Refusal `impossible` */
function defaultRole(caller: AccountCaller, operator: OperatorRow): Role {
  const role = narrowest([operator.role, caller.role, caller.operatorRole])
  if (!role) throw impossible('/role', 'your token and its operator have roles that exclude each other: name a role')
  return role
}

/** @throws Refusal `impossible` for a token that would not work, or would work once the operator gets another role */
function checkOperator({ disabled, role: own }: OperatorRow, role: Role): void {
  if (disabled) throw impossible('/operator', 'the operator is disabled: enable it first')
  if (!covers(own, role)) throw impossible('/role', `the operator has the role ${own}, which does not include this one`)
}

/** @throws Refusal `conflict` */
function checkRoom({ apiTokens }: Snapshot, operator: string, now: Date): void {
  const live = [...apiTokens.values()].filter((row) => row.operator === operator && !row.login && isLiveToken(row, now))
  if (live.length < maxLive) return
  throw refuse('conflict', { detail: `an operator has at most ${maxLive} live tokens: revoke one first` })
}
