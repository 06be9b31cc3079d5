/** Approves or denies a request of another operator, or withdraws an own one. */
import type { AccountCaller } from '../../authorize/caller.ts'
import { refuse } from '../../errors.ts'
import {
  type ApprovalRow,
  type ApprovalState,
  type Decision,
  endApproval,
  lockApproval,
  setDecision,
} from '../../store/approvals.ts'
import type { Knex } from '../../store/database.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { type ChangeAction, type Context, checkReason } from '../context.ts'
import { accountCaller } from '../tokens/rights.ts'
import { accountOf, approvalResource, isVisible, mayAct, stateOf } from './state.ts'

/** @throws Refusal `not_found` for an approval that the caller may not know */
async function lockVisible(
  tx: Knex.Transaction,
  caller: AccountCaller,
  snapshot: Snapshot,
  id: string,
): Promise<ApprovalRow> {
  const row = await lockApproval(tx, id)
  if (!row || !isVisible(row, caller, snapshot)) throw refuse('not_found')
  return row
}

/** @throws Refusal `conflict` */
function checkPending(row: ApprovalRow, { time }: Pick<Context, 'time'>): void {
  const state = stateOf(row, time)
  if (state === 'pending') return
  const details = {
    approved: `it is approved already, by ${row.decidedBy}`,
    denied: `it was denied by ${row.decidedBy}: request another approval`,
    withdrawn: 'it was withdrawn: request another approval',
    used: 'it was used: request another approval',
    expired: 'it has expired: request another approval',
  }
  throw refuse('conflict', { detail: details[state] })
}

/** @throws Refusal `own_request`, `forbidden` */
function checkApprover(row: ApprovalRow, caller: AccountCaller, snapshot: Snapshot): void {
  const account = accountOf(caller, snapshot)
  if (row.operatorId === account.id) throw refuse('own_request')
  if (!mayAct(caller, row.permission)) {
    throw refuse('forbidden', { detail: `your token lacks the permission of the request, ${row.permission}` })
  }
  // An account that is created for the purpose is no second operator.
  if (account.createdAt >= row.createdAt) {
    throw refuse('forbidden', { detail: 'your account is newer than the request' })
  }
}

const decide =
  (decision: Decision['decision']): ChangeAction<string, ApprovalRow> =>
  async (context, tx, snapshot, id) => {
    const caller = accountCaller(context)
    if (decision === 'denied') checkReason(context, 'must say why the request is denied: it goes into the log')
    const row = await lockVisible(tx, caller, snapshot, id)
    checkApprover(row, caller, snapshot)
    checkPending(row, context)
    const decided: Decision = {
      decision,
      decidedAt: context.time,
      decidedBy: caller.operator,
      decidedById: accountOf(caller, snapshot).id,
      decidedTokenId: caller.tokenId,
      ...(context.reason !== undefined && { decisionReason: context.reason }),
    }
    await setDecision(tx, id, decided)
    return { result: { ...row, ...decided }, entry: entryOf(row, decision) }
  }

export const approve = decide('approved')
export const deny = decide('denied')

/** Only what is pending: what is approved may be in use at this moment. */
export const withdraw: ChangeAction<string, ApprovalRow> = async (context, tx, snapshot, id) => {
  const caller = accountCaller(context)
  const row = await lockVisible(tx, caller, snapshot, id)
  if (row.operatorId !== accountOf(caller, snapshot).id) {
    throw refuse('forbidden', { detail: 'only the operator who requested an approval withdraws it: deny it instead' })
  }
  checkPending(row, context)
  await endApproval(tx, id, context.time)
  return { result: { ...row, endedAt: context.time }, entry: entryOf(row, 'withdrawn') }
}

/** With its state as a change, which no redaction takes out of the log. */
const entryOf = (row: ApprovalRow, state: ApprovalState) => ({
  resource: approvalResource(row),
  change: { after: { action: row.action, state } },
})
