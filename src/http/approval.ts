/** The step of a request that may need a second operator: it runs its handler where an approval holds (approvals/use.ts). */
import type { Actions } from '../actions/actions.ts'
import type { ApprovedContext } from '../actions/approvals/use.ts'
import type { ApprovableAction } from '../operators/approvable.ts'
import type { ApiRequest } from './request.ts'
import type { ChangeState, Issue, Route } from './route-kinds.ts'

export type ApprovalParts = {
  /** The actions that need an approval. */
  approvalActions: readonly ApprovableAction[]
  approvals: Pick<Actions['approvals'], 'change' | 'issue'>
}

type ApprovalStep = { issue: (handler: Issue) => Issue; change: (handler: ChangeState) => ChangeState }

const none: ApprovalStep = { issue: (handler) => handler, change: (handler) => handler }

export function createApprovalStep(
  { method, action }: Pick<Route, 'method' | 'action'>,
  { approvals, approvalActions }: ApprovalParts,
): ApprovalStep {
  if (!approvalActions.some((name) => name === action)) return none

  const contextOf = (request: ApiRequest): ApprovedContext => {
    const { target: path, ifMatch, body } = request
    // The document has one spelling of a revision, so this is the header as it was sent.
    const revision = ifMatch === undefined ? {} : { ifMatch: `"${ifMatch}"` }
    return { ...request, exact: { method, path, ...revision, ...(body !== undefined && { body }) } }
  }

  return {
    issue: (handler) => async (request, snapshot, hints) => {
      const decide = () => handler(request, snapshot, hints)
      // The grants of a workload are its approval.
      return request.caller.kind === 'operator' ? approvals.issue(contextOf(request), snapshot, decide) : decide()
    },
    change: (handler) => async (request, tx, snapshot) =>
      approvals.change(contextOf(request), tx, snapshot, () => handler(request, tx, snapshot)),
  }
}
