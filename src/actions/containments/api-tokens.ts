/** The API tokens of a containment: those that it names, and those that they created. */
import { refuse } from '../../errors.ts'
import { hasAdmin, isLiveToken, withOperator, withoutTokens } from '../../operators/admins.ts'
import { endApprovalsOf } from '../../store/approvals.ts'
import type { Subject } from '../../store/containments.ts'
import type { Knex } from '../../store/database.ts'
import type { ApiTokenRow, OperatorRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'

type Accounts = Pick<Snapshot, 'apiTokens' | 'operators'>

const liveAmong = ({ apiTokens }: Accounts, ids: readonly string[], now: Date): ApiTokenRow[] =>
  [...apiTokens.values()].filter((row) => ids.includes(row.id) && isLiveToken(row, now))

const leavesNoAdmin = (accounts: Accounts, ids: readonly string[], now: Date): boolean =>
  hasAdmin(accounts, now) && !hasAdmin(withoutTokens(accounts, ids), now)

/** The operator of a containment that has a password: its holder could log in again. */
export const passwordHolder = ({ operators }: Accounts, subject: Subject): OperatorRow | undefined => {
  const operator =
    subject.kind === 'apiTokens' && subject.operator !== undefined ? operators.get(subject.operator) : undefined
  return operator?.passwordAt && operator
}

function withoutPassword(accounts: Accounts, operator: OperatorRow | undefined): Accounts {
  if (!operator) return accounts
  const { passwordAt: _, ...rest } = operator
  return withOperator(accounts, operator.name, rest)
}

/** @throws Refusal `conflict` where no admin would remain */
export function namedTokens(accounts: Accounts, subject: Subject, now: Date): ApiTokenRow[] {
  if (subject.kind !== 'apiTokens') return []
  const after = withoutTokens(withoutPassword(accounts, passwordHolder(accounts, subject)), subject.tokenIds)
  if (hasAdmin(accounts, now) && !hasAdmin(after, now)) {
    const detail = 'no admin token would remain: create one on the host with `purser bootstrap --reissue`, and use it'
    throw refuse('conflict', { detail })
  }
  return liveAmong(accounts, subject.tokenIds, now)
}

/** Withdraws what the contained ones requested or approved, so that no later token of the operator uses it. */
export async function endApprovals(tx: Knex.Transaction, subject: Subject, now: Date): Promise<string[]> {
  return subject.kind === 'apiTokens' ? endApprovalsOf(tx, subject, now) : []
}

/** Created by a contained token, and not known as such yet. The token of the operator who contains is spared. */
export function createdTokens(subject: Subject, ids: readonly string[]): string[] {
  if (subject.kind !== 'apiTokens') return []
  return ids.filter((id) => id !== subject.spared && !subject.tokenIds.includes(id))
}

export function withTokens(subject: Subject, ids: readonly string[]): Subject {
  return subject.kind === 'apiTokens' ? { ...subject, tokenIds: [...subject.tokenIds, ...ids] } : subject
}

/** The live ones of created tokens; those of admins stay where no admin would remain. */
export function revocableTokens(accounts: Accounts, ids: readonly string[], now: Date): ApiTokenRow[] {
  const live = liveAmong(accounts, ids, now)
  return leavesNoAdmin(accounts, ids, now) ? live.filter((row) => row.role !== 'admin') : live
}
