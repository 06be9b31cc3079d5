/** Approvals: request, list, show, approve, deny, withdraw. */
import type { Actions } from '../actions/actions.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import { operatorPermission } from '../operators/permissions.ts'
import type { ApprovalRow } from '../store/approvals.ts'
import { stateOf } from '../actions/approvals/state.ts'
import { type ListParts, createPages } from './lists.ts'
import { idOf } from './params.ts'
import { rendered } from './rendered.ts'
import { bodyOf, json, queryOf } from './request.ts'
import type { ChangeState, Read } from './route-kinds.ts'
import { timeMember } from './times.ts'
import { readWritten } from './written-request.ts'

type Routes = Record<'list' | 'get', Read> & Record<'request' | 'approve' | 'deny' | 'withdraw', ChangeState>

const show = (row: ApprovalRow, now: Date) => ({
  id: row.id,
  state: stateOf(row, now),
  operator: row.operator,
  action: row.action,
  request: JSON.parse(row.request) as unknown,
  reason: row.reason,
  createdAt: rfc3339(row.createdAt),
  expiresAt: rfc3339(row.expiresAt),
  ...(row.decidedBy !== undefined && { decidedBy: row.decidedBy }),
  ...timeMember('decidedAt', row.decidedAt),
  ...(row.decisionReason !== undefined && { decisionReason: row.decisionReason }),
  ...timeMember('usedAt', row.usedAt),
})

const keyOf = ({ createdAt, id }: ApprovalRow): string => `${createdAt.toISOString()} ${id}`

function placeIn(key: string | undefined) {
  const [createdAt = '', id = ''] = key?.split(' ') ?? []
  return key === undefined ? undefined : { createdAt, id }
}

export function createApprovalRoutes(parts: ListParts & { actions: Pick<Actions, 'approvals'> }): Routes {
  const { approvals } = parts.actions
  const page = createPages(parts)

  const request: ChangeState = async (call, tx, snapshot) => {
    const { request: written, reason } = bodyOf(call, 'requestApproval')
    const { operation, exact } = readWritten(written, call)
    const { method, path, action } = operation
    const permission = operatorPermission(operation.permission)
    const wanted = { request: exact, route: `${method} ${path}`, action, permission, reason }
    return rendered(await approvals.request(call, tx, snapshot, wanted), (row) =>
      json(show(row, call.time), { status: 201 }),
    )
  }

  const decision =
    (decide: (typeof approvals)['approve']): ChangeState =>
    async (call, tx, snapshot) =>
      rendered(await decide(call, tx, snapshot, idOf(call)), (row) => json(show(row, call.time)))

  return {
    request,
    list: async (call, snapshot) =>
      page(call, snapshot, {
        list: 'approvals',
        rows: (after, max) =>
          approvals.list(call, snapshot, { state: queryOf(call, 'listApprovals').state, after: placeIn(after), max }),
        keyOf,
        show: (row) => show(row, call.time),
      }),
    get: async (call, snapshot) => json(show(await approvals.get(call, snapshot, idOf(call)), call.time)),
    approve: decision(approvals.approve),
    deny: decision(approvals.deny),
    withdraw: decision(approvals.withdraw),
  }
}
