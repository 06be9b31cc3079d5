/** Approvals: a second operator for requests that the configuration names. */
import { refuse } from '../../errors.ts'
import { type ApprovalRow, type ApprovalState, listApprovals, readApproval } from '../../store/approvals.ts'
import type { Database } from '../../store/database.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { accountCaller } from '../tokens/rights.ts'
import { approve, deny, withdraw } from './decide.ts'
import { type RequestParts, requestApproval } from './request.ts'
import { isVisible, visibleTo } from './state.ts'
import { createApprovedUses } from './use.ts'

export type ApprovalParts = RequestParts & { db: Pick<Database, 'knex'> }

type Page = { state?: ApprovalState | undefined; after?: { createdAt: string; id: string } | undefined; max: number }

export function createApprovalActions(parts: ApprovalParts) {
  const { db } = parts
  return {
    request: requestApproval(parts),

    /** @throws Refusal `not_found` */
    async get(context: Pick<Context, 'caller'>, snapshot: Snapshot, id: string): Promise<ApprovalRow> {
      const row = await readApproval(db.knex, id)
      if (!row || !isVisible(row, accountCaller(context), snapshot)) throw refuse('not_found')
      return row
    },

    /** Newest first. */
    list(context: Pick<Context, 'caller' | 'time'>, snapshot: Snapshot, page: Page): Promise<ApprovalRow[]> {
      const visible = visibleTo(accountCaller(context), snapshot)
      return listApprovals(db.knex, visible, { ...page, now: context.time })
    },

    approve,
    deny,
    withdraw,
    ...createApprovedUses(parts),
  }
}
