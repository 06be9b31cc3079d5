/** Approvals of requests by a second operator. A claim with its use key says that an approval was used. */
import { type Columns, columnsOf, membersOf } from './columns.ts'
import type { Knex } from './database.ts'

type Tx = Knex.Transaction

/** Rows, and the claims of their uses, stay so long after their end. */
export const approvalRetentionMs = 30 * 24 * 3600_000

export type NewApproval = {
  id: string
  /** Who requests it. */
  operatorId: string
  operator: string
  tokenId: string
  action: string
  /** The permission of the route, which the approver needs too. */
  permission: string
  /** Canonical JSON (RFC 8785). */
  request: string
  reason: string
  createdAt: Date
  expiresAt: Date
  useKey: Buffer
}

export type Decision = {
  decision: 'approved' | 'denied'
  decidedAt: Date
  decidedBy: string
  decidedById: string
  decidedTokenId: string
  decisionReason?: string
}

export type ApprovalRow = NewApproval &
  Partial<Decision> & {
    /** When it was withdrawn: by the operator, by a containment, or with an epoch of the log. */
    endedAt?: Date
    usedAt?: Date
  }

export type ApprovalState = 'pending' | 'approved' | 'denied' | 'withdrawn' | 'used' | 'expired'

const withUse = (knex: Knex) =>
  knex('approval as a').leftJoin('claim as c', 'c.key', 'a.use_key').select('a.*', 'c.claimed_at as used_at')

export const insertApproval = (tx: Tx, row: NewApproval): Promise<unknown> => tx('approval').insert(columnsOf(row))

export async function readApproval(knex: Knex, id: string): Promise<ApprovalRow | undefined> {
  const row: Columns<ApprovalRow> | undefined = await withUse(knex).where('a.id', id).first()
  return row && membersOf<ApprovalRow>(row)
}

/** Locks the approval until the transaction ends. */
export async function lockApproval(tx: Tx, id: string): Promise<ApprovalRow | undefined> {
  await tx('approval').where({ id }).forUpdate().first('id')
  return readApproval(tx, id)
}

/** Counts the open requests of an operator. Other requests of the operator wait until the transaction ends. */
export async function countPending(tx: Tx, operatorId: string, now: Date): Promise<number> {
  await tx('operator').where({ id: operatorId }).forUpdate().first('id')
  const rows: { n: string }[] = await tx('approval')
    .where({ operator_id: operatorId })
    .whereNull('decision')
    .whereNull('ended_at')
    .where('expires_at', '>', now)
    .count({ n: '*' })
  return Number(rows[0]?.n ?? 0)
}

export const setDecision = (tx: Tx, id: string, decision: Decision): Promise<unknown> =>
  tx('approval').where({ id }).update(columnsOf(decision))

export const endApproval = (tx: Tx, id: string, now: Date): Promise<unknown> =>
  tx('approval').where({ id }).update({ ended_at: now })

/** Withdraws what these tokens, or an operator with any token, requested or approved. Returns the ids. */
export async function endApprovalsOf(
  tx: Tx,
  { tokenIds, operator }: { tokenIds: readonly string[]; operator?: string | undefined },
  now: Date,
): Promise<string[]> {
  const ended: { id: string }[] = await tx('approval')
    .whereNull('ended_at')
    .where('expires_at', '>', now)
    .where((query) => {
      void query.whereIn('token_id', tokenIds).orWhereIn('decided_token_id', tokenIds)
      if (operator !== undefined) void query.orWhere({ operator }).orWhere({ decided_by: operator })
    })
    .whereNotExists((query) => void query.from('claim').whereRaw('claim.key = approval.use_key'))
    .update({ ended_at: now })
    .returning('id')
  return ended.map(({ id }) => id)
}

/**
 * Which approvals a caller may know: those that its own operator requested (with these tokens, where its own is narrower),
 * and those of some operators for some permissions.
 */
export type Visible = {
  own: { operatorId: string; tokenIds?: readonly string[] }
  operatorIds: readonly string[]
  permissions: readonly string[]
}

/** A time and an id, from which a list goes on. */
type Place = { createdAt: string; id: string }

/** Newest first. */
export async function listApprovals(
  knex: Knex,
  { own, operatorIds, permissions }: Visible,
  { state, now, after, max }: { state?: ApprovalState | undefined; now: Date; after?: Place | undefined; max: number },
): Promise<ApprovalRow[]> {
  const rows: Columns<ApprovalRow>[] = await withUse(knex)
    .where((query) => {
      void query
        .where((mine) => {
          void mine.where('a.operator_id', own.operatorId)
          if (own.tokenIds) void mine.whereRaw('a.token_id = any(?::text[])', [[...own.tokenIds]])
        })
        .orWhereRaw('(a.operator_id = any(?::text[]) and a.permission = any(?::text[]))', [
          [...operatorIds],
          [...permissions],
        ])
    })
    .modify((query) => {
      if (state) void query.whereRaw(conditions[state], conditions[state].includes('?') ? [now] : [])
      if (after) void query.whereRaw('(a.created_at, a.id) < (?::timestamptz, ?)', [after.createdAt, after.id])
    })
    .orderBy([
      { column: 'a.created_at', order: 'desc' },
      { column: 'a.id', order: 'desc' },
    ])
    .limit(max)
  return rows.map(membersOf<ApprovalRow>)
}

const open = 'c.key is null and a.ended_at is null'

/** As `stateOf` in actions/approvals/state.ts. */
const conditions: Record<ApprovalState, string> = {
  used: 'c.key is not null',
  withdrawn: 'c.key is null and a.ended_at is not null',
  denied: `${open} and a.decision = 'denied'`,
  expired: `${open} and a.decision is distinct from 'denied' and a.expires_at <= ?`,
  pending: `${open} and a.decision is null and a.expires_at > ?`,
  approved: `${open} and a.decision = 'approved' and a.expires_at > ?`,
}
