/** Approvals as operators may know them, and as the log has them. */
import type { AccountCaller } from '../../authorize/caller.ts'
import { isWithin } from '../../names/bound.ts'
import { type OperatorPermission, isOperatorPermission, permissions } from '../../operators/permissions.ts'
import { rightsMay } from '../../operators/rights.ts'
import type { ApprovalRow, ApprovalState, NewApproval, Visible } from '../../store/approvals.ts'
import type { OperatorRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'

export const approvalResource = ({ id, operator }: Pick<NewApproval, 'id' | 'operator'>) => ({
  kind: 'approval',
  id,
  name: operator,
})

/** What is used stays used, whatever happens to its operators later. */
export function stateOf({ usedAt, endedAt, decision, expiresAt }: ApprovalRow, now: Date): ApprovalState {
  if (usedAt) return 'used'
  if (endedAt) return 'withdrawn'
  if (decision === 'denied') return 'denied'
  if (expiresAt <= now) return 'expired'
  return decision ?? 'pending'
}

/** The requester, if it is still the same operator and within what the caller may know. */
const requesterOf = ({ operators }: Pick<Snapshot, 'operators'>, row: Pick<NewApproval, 'operator' | 'operatorId'>) => {
  const requester = operators.get(row.operator)
  return requester?.id === row.operatorId ? requester : undefined
}

export const mayAct = (caller: AccountCaller, permission: string): boolean =>
  isOperatorPermission(permission) && rightsMay(caller, permission)

/** The permissions whose requests the caller may know. An auditor finds all requests in the log anyway. */
function knownPermissions(caller: AccountCaller): OperatorPermission[] {
  const all = Object.keys(permissions).filter(isOperatorPermission)
  return rightsMay(caller, 'audit.read') ? all : all.filter((permission) => rightsMay(caller, permission))
}

/** As `isVisible`, for a list. */
export function visibleTo(caller: AccountCaller, { operators, apiTokens }: Snapshot): Visible {
  const { id: operatorId, name, bound } = accountOf(caller, { operators })
  const isWhole = isWithin(bound, caller.bound)
  const tokenIds = [...apiTokens.values()].filter(({ operator }) => operator === name).map((token) => token.id)
  const within = [...operators.values()].filter((row) => isWithin(row.bound, caller.bound))
  return {
    own: { operatorId, ...(!isWhole && { tokenIds }) },
    operatorIds: within.map((row) => row.id),
    permissions: knownPermissions(caller),
  }
}

/**
 * A token with a bound does not show what wider tokens of its operator request.
 * @param snapshot as the caller may know it
 */
export function isVisible(row: ApprovalRow, caller: AccountCaller, snapshot: Snapshot): boolean {
  const requester = requesterOf(snapshot, row)
  if (!requester) return false
  const isWhole = isWithin(requester.bound, caller.bound)
  if (row.operator === caller.operator && (isWhole || snapshot.apiTokens.has(row.tokenId))) return true
  return isWhole && knownPermissions(caller).some((name) => name === row.permission)
}

/**
 * Whether the approver could still approve. It also loses that with its account, its role or its bound.
 * @param snapshot the whole one
 */
export function doesApproverStand(row: ApprovalRow, snapshot: Snapshot): boolean {
  const requester = requesterOf(snapshot, row)
  const approver = snapshot.operators.get(row.decidedBy ?? '')
  if (!requester || !approver || approver.id !== row.decidedById || approver.disabled) return false
  const { role, bound } = approver
  const rights = { role, operatorRole: role, ...(bound && { bound }) }
  return isOperatorPermission(row.permission) && rightsMay(rights, row.permission) && isWithin(requester.bound, bound)
}

export function accountOf(caller: AccountCaller, { operators }: Pick<Snapshot, 'operators'>): OperatorRow {
  const account = operators.get(caller.operator)
  if (!account) throw new Error('the caller is no operator of the snapshot')
  return account
}
