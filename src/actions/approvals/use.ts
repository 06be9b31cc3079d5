/**
 * Uses an approval, once, for exactly the request that was approved. The claim of the use is part of the change, or of the
 * append, so a request that fails leaves the approval as it is.
 */
import { createHash } from 'node:crypto'
import type { Change, Release } from '../../audit/record.ts'
import { type RefusalCode, refuse } from '../../errors.ts'
import { type ExactRequest, requestText } from '../../operators/approvable.ts'
import { type ApprovalRow, approvalRetentionMs, readApproval } from '../../store/approvals.ts'
import { claimState, takeClaim } from '../../store/claims.ts'
import type { Database, Knex } from '../../store/database.ts'
import type { Claim } from '../../store/effects.ts'
import { type Snapshot, wholeOf } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { accountCaller } from '../tokens/rights.ts'
import { accountOf, doesApproverStand, stateOf } from './state.ts'

/** A request as it arrived, with the approval that it names. */
export type ApprovedContext = Context & { exact: ExactRequest; approval?: string }

const howToApprove =
  'request an approval with POST /api/v1/approvals, have a second operator approve it, and send the same request again with the header Purser-Approval'

const unusable = (detail: string, code: RefusalCode = 'approval_required'): Error => refuse(code, { detail })

/** @throws Refusal `approval_required`, `approval_mismatch` */
async function usable(knex: Knex, context: ApprovedContext, snapshot: Snapshot): Promise<ApprovalRow> {
  const { approval: id, exact } = context
  const caller = accountCaller(context)
  if (id === undefined) throw unusable(howToApprove)
  const row = await readApproval(knex, id)
  if (!row || row.operatorId !== accountOf(caller, snapshot).id) {
    throw unusable('you have requested no approval with this id')
  }
  if (requestText(exact) !== row.request) throw unusable(differenceTo(row, exact), 'approval_mismatch')
  checkState(row, context)
  if (!doesApproverStand(row, wholeOf(snapshot))) {
    throw unusable(`${row.decidedBy} may not approve it any more: request another approval`)
  }
  return row
}

/** A repeat under the same Idempotency-Key may name an approval that is used: its claim is compared. */
function checkState(row: ApprovalRow, { time, idempotencyKey }: ApprovedContext): void {
  const state = stateOf(row, time)
  if (state === 'approved' || (state === 'used' && idempotencyKey !== undefined)) return
  const details = {
    pending: `${row.id} is not approved yet: another operator runs purser approval approve ${row.id}`,
    denied: `${row.decidedBy} denied it`,
    withdrawn: 'it was withdrawn: request another approval',
    used: alreadyUsed,
    expired: 'it has expired: request another approval',
  }
  throw unusable(details[state])
}

const alreadyUsed = 'it was used before, and an approval is used once: request another approval'

function differenceTo(row: ApprovalRow, { method, path, ifMatch }: ExactRequest): string {
  const approved: ExactRequest = JSON.parse(row.request)
  if (approved.method !== method || approved.path !== path) return `it is of ${approved.method} ${approved.path}`
  if (approved.ifMatch !== ifMatch) return `it is of this request with If-Match ${approved.ifMatch ?? 'left out'}`
  return 'it is of this request with another body'
}

function claimOf(row: ApprovalRow, { requestId, idempotencyKey }: ApprovedContext): Claim {
  const holder = createHash('sha256').update(idempotencyKey === undefined ? requestId : `key ${idempotencyKey}`)
  const until = new Date(row.expiresAt.getTime() + approvalRetentionMs)
  return { key: row.useKey, holder: holder.digest(), until }
}

const memberOf = ({ id, decidedBy = '' }: ApprovalRow) => ({ approval: { id, approver: decidedBy } })

export function createApprovedUses({ db }: { db: Pick<Database, 'knex'> }) {
  return {
    /** @param act runs where the approval holds */
    async change<R>(
      context: ApprovedContext,
      tx: Knex.Transaction,
      snapshot: Snapshot,
      act: () => Promise<Change<R>>,
    ): Promise<Change<R>> {
      const row = await usable(tx, context, snapshot)
      const claim = claimOf(row, context)
      const { key, holder, until } = claim
      const isFirst = await takeClaim(tx, key, { now: context.time, until, holder })
      if (!isFirst && (await claimState(tx, claim, new Date(0))) !== 'repeatable') throw unusable(alreadyUsed)
      const change = await act()
      const member = memberOf(row)
      return {
        ...change,
        entry: { ...change.entry, ...member },
        ...(change.more && { more: change.more.map((part) => ({ ...part, ...member })) }),
      }
    },

    /** Where policy changes before the append, everything is decided again. */
    async issue<R>(
      context: ApprovedContext,
      snapshot: Snapshot,
      decide: () => Promise<Release<R>>,
    ): Promise<Release<R>> {
      const row = await usable(db.knex, context, snapshot)
      const release = await decide()
      return {
        ...release,
        entry: { ...release.entry, ...memberOf(row) },
        effects: { ...release.effects, claim: claimOf(row, context) },
        claimed: async () => unusable(alreadyUsed),
        holds: () => false,
      }
    },
  }
}
