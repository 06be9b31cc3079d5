/** Checks that what needs an approval can be approved, and that no operator can become its own second one. */
import type { Config } from '../../config.ts'
import { loadOpenApi } from '../../http/openapi.ts'
import { type ApprovableAction, actionsOfAccounts, approverPermission } from '../../operators/approvable.ts'
import { operatorPermission, roleMay } from '../../operators/permissions.ts'
import type { OperatorRow } from '../../store/rows.ts'
import { type Finding, collect, some, warn } from './finding.ts'

const check = 'approvals'

type Accounts = readonly Pick<OperatorRow, 'role' | 'disabled' | 'bound'>[]

export function checkApprovals({ actions }: Config['approvals'], operators: Accounts): Finding[] {
  if (actions.length === 0) return []
  return collect(accountsWithoutApproval(actions), actionsWithoutApprover(actions, operators))
}

function accountsWithoutApproval(actions: readonly ApprovableAction[]): Finding | undefined {
  const missing = actionsOfAccounts.filter((action) => !actions.includes(action))
  if (missing.length === 0) return undefined
  const why = 'with it, one admin can act as a second operator, and approve its own requests'
  const remedy = `add ${missing.join(', ')} to PURSER_APPROVAL_ACTIONS`
  return warn(check, `no approval is needed for ${missing.join(', ')}`, { why, do: remedy })
}

function actionsWithoutApprover(actions: readonly ApprovableAction[], operators: Accounts): Finding | undefined {
  const stuck = actions.filter((action) => operators.filter((operator) => mayApprove(operator, action)).length < 2)
  if (stuck.length === 0) return undefined
  const why = 'one operator requests and another one approves: with fewer, this cannot be done'
  const remedy =
    'create another operator with the role, without a bound, or remove the actions from PURSER_APPROVAL_ACTIONS'
  return warn(check, `fewer than two operators could approve ${some(stuck)}`, { why, do: remedy })
}

/** An operator with a bound approves for its own team alone. */
function mayApprove({ role, disabled, bound }: Accounts[number], action: ApprovableAction): boolean {
  const route = loadOpenApi().operations.find((operation) => operation.action === action)
  const permission = operatorPermission(route?.permission ?? '')
  return !disabled && !bound && permission !== undefined && roleMay(role, approverPermission(action, permission))
}
