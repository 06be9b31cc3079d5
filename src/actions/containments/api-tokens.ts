/** The API tokens of a containment: those that it names, and those that they created. */
import { refuse } from '../../errors.ts'
import { hasAdmin, isLiveToken, withOperator, withoutTokens } from '../../operators/admins.ts'
import { endApprovalsOf } from '../../store/approvals.ts'
import type { Subject } from '../../store/containments.ts'
import type { Knex } from '../../store/database.ts'
import { setRolesOfTokens, updateOperator } from '../../store/operators.ts'
import { clearPassword } from '../../store/passwords.ts'
import type { ApiTokenRow, OperatorRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'

type Accounts = Pick<Snapshot, 'apiTokens' | 'operators'>

const liveAmong = ({ apiTokens }: Accounts, ids: readonly string[], now: Date): ApiTokenRow[] =>
  [...apiTokens.values()].filter((row) => ids.includes(row.id) && isLiveToken(row, now))

const leavesNoAdmin = (accounts: Accounts, ids: readonly string[], now: Date): boolean =>
  hasAdmin(accounts, now) && !hasAdmin(withoutTokens(accounts, ids), now)

/** The operator that a containment names. It is disabled, and loses password and passkeys, so that enabling it reopens nothing. */
export const containedOperator = ({ operators }: Accounts, subject: Subject): OperatorRow | undefined =>
  subject.kind === 'apiTokens' && subject.operator !== undefined ? operators.get(subject.operator) : undefined

/** Also a login at an OpenID provider is refused from then on. Its revision ends what its tokens have begun. */
export async function disableContained(tx: Knex.Transaction, operator: OperatorRow, now: Date): Promise<void> {
  await clearPassword(tx, operator.id)
  await updateOperator(tx, { ...operator, disabled: true, revision: operator.revision + 1, updatedAt: now })
  await setRolesOfTokens(tx, operator.name, [])
}

/** @throws Refusal `conflict` where no admin would remain */
export function namedTokens(accounts: Accounts, subject: Subject, now: Date): ApiTokenRow[] {
  if (subject.kind !== 'apiTokens') return []
  const operator = containedOperator(accounts, subject)
  const remaining = operator ? withOperator(accounts, operator.name, { ...operator, disabled: true }) : accounts
  if (hasAdmin(accounts, now) && !hasAdmin(withoutTokens(remaining, subject.tokenIds), now)) {
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
