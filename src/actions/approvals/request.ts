/** Requests an approval. The caller must be allowed to send the request itself. */
import { refuse } from '../../errors.ts'
import { newId } from '../../names/id.ts'
import {
  type ApprovableAction,
  type ExactRequest,
  approverPermission,
  isApprovable,
  requestText,
  useKeyOf,
} from '../../operators/approvable.ts'
import type { OperatorPermission } from '../../operators/permissions.ts'
import { mayCall } from '../../operators/rights.ts'
import { type ApprovalRow, countPending, insertApproval } from '../../store/approvals.ts'
import { masked } from '../../telemetry/mask.ts'
import type { ChangeAction } from '../context.ts'
import { impossible } from '../registrations.ts'
import { accountCaller } from '../tokens/rights.ts'
import { accountOf, approvalResource, mayAct } from './state.ts'

type ApprovalRules = {
  /** The actions that need an approval. */
  actions: readonly ApprovableAction[]
  lifetimeSeconds: number
}

export type RequestParts = { approvals: ApprovalRules; randomBytes: (size: number) => Buffer }

/** `route`: `METHOD /path` as openapi.yaml has it. */
export type WantedApproval = {
  request: ExactRequest
  route: string
  action: string
  /** Of the route. */
  permission: OperatorPermission | undefined
  reason: string
}

/** Of one operator: an approver reads each. */
const maxPending = 100

export const requestApproval =
  ({ approvals, randomBytes }: RequestParts): ChangeAction<WantedApproval, ApprovalRow> =>
  async (context, tx, snapshot, { request, route, action, permission, reason }) => {
    const { time } = context
    const caller = accountCaller(context)
    if (!permission || !isApprovable(action) || !approvals.actions.includes(action)) {
      throw impossible('/request', `${action} needs no approval here: send the request itself`)
    }
    if (!mayAct(caller, permission)) throw refuse('forbidden')
    if (!mayCall(caller, route)) throw refuse('forbidden', { detail: 'this token is limited to other routes' })
    const account = accountOf(caller, snapshot)
    if ((await countPending(tx, account.id, time)) >= maxPending) {
      throw refuse('conflict', { detail: `an operator has at most ${maxPending} open requests: withdraw one first` })
    }
    const id = newId('apr', randomBytes)
    const row = {
      id,
      operatorId: account.id,
      operator: account.name,
      tokenId: caller.tokenId,
      action,
      permission: approverPermission(action, permission),
      request: requestText(request),
      reason,
      createdAt: time,
      expiresAt: new Date(time.getTime() + approvals.lifetimeSeconds * 1000),
      useKey: useKeyOf(id),
    }
    await insertApproval(tx, row)
    const logged: unknown = JSON.parse(masked(row.request))
    return {
      result: row,
      entry: {
        resource: approvalResource(row),
        change: { after: { action, request: logged, reason: masked(reason), expiresAt: row.expiresAt.toISOString() } },
      },
    }
  }
