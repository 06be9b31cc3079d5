/**
 * Sets the password of an operator. Operators set their own, with the present one if there is one; admins set those of
 * others, which removes their passkeys. All sessions of the operator end.
 */
import { refuse } from '../../errors.ts'
import { readNewPassword } from '../../operators/password-text.ts'
import type { ApprovableAction } from '../../operators/approvable.ts'
import { rightsMay } from '../../operators/rights.ts'
import type { Database } from '../../store/database.ts'
import { removePasskeys } from '../../store/passkeys.ts'
import { readLoginAccount, readPasswordHash, setPassword } from '../../store/passwords.ts'
import type { OperatorRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { endLogins } from '../../store/tokens.ts'
import type { ChangeAction, Context } from '../context.ts'
import { findByName, impossible } from '../registrations.ts'
import { accountCaller, checkPassedOn, operatorNamed } from '../tokens/rights.ts'
import { type PresentPasswordParts, createCheckPresentPassword } from './present-password.ts'
import { changedRows, operatorResource } from './state.ts'

export type PasswordChange = {
  operator: string
  password: string
  currentPassword?: string
  /** Of the caller's address. */
  prefix: string
}

/** A change that is allowed. The present hash is compared again in the transaction. */
type HashedPassword = { operator: string; operatorId: string; hash: string; presentHash?: string }

/** Where tokens need an approval, an operator sets no other's password: it could approve as the other one. */
export type OwnLogins = { approvals: { actions: readonly ApprovableAction[] } }

export type PasswordParts = OwnLogins & PresentPasswordParts & { db: Pick<Database, 'knex'> }

/**
 * The operator whose password or second factor changes. Who knows them has the operator's role and bound, and all routes,
 * so the caller needs all of them.
 * @throws Refusal `forbidden`, `not_found`
 */
export function targetOf(context: Pick<Context, 'caller'>, { operators }: Snapshot, name: string) {
  const caller = accountCaller(context)
  const isOwn = operatorNamed(caller, name) === caller.operator
  if (!isOwn && !rightsMay(caller, 'operators.write')) throw refuse('forbidden')
  const operator = findByName(operators, operatorNamed(caller, name))
  const { role, bound } = operator
  const pointers = { role: '/path/name', routes: '/path/name', bound: '/path/name' }
  checkPassedOn(caller, { role, ...(bound && { bound }) }, pointers)
  return { operator, isOwn }
}

/** @throws Refusal `forbidden` */
export function refuseForOthers({ approvals }: OwnLogins, isOwn: boolean): void {
  if (isOwn || !approvals.actions.includes('token.create')) return
  const detail =
    'where tokens need an approval, operators set their own password: create a token for the operator, or run `purser operator recover` on the host'
  throw refuse('forbidden', { detail })
}

/** Hashes outside the transaction. */
export function hashPassword(parts: PasswordParts) {
  const { db, passwords } = parts
  const checkPresentPassword = createCheckPresentPassword(parts)
  return async (context: Context, snapshot: Snapshot, change: PasswordChange): Promise<HashedPassword> => {
    const { operator, isOwn } = targetOf(context, snapshot, change.operator)
    refuseForOthers(parts, isOwn)
    const { name, id: operatorId } = operator
    const { text, problem } = readNewPassword(change.password, name)
    if (text === undefined) throw impossible('/password', problem)
    const { currentPassword, prefix } = change
    const account = await readLoginAccount(db.knex, name, prefix)
    const presentHash = account?.hash
    if (isOwn && presentHash !== undefined) {
      const isKnownAddress = account?.isKnownAddress ?? false
      const presented = { name, prefix, currentPassword, purpose: 'change your own password' }
      await checkPresentPassword({ hash: presentHash, isKnownAddress }, presented)
    }
    const hash = await passwords.hash(text)
    return { operator: name, operatorId, hash, ...(presentHash !== undefined && { presentHash }) }
  }
}

export const changePassword: ChangeAction<HashedPassword, OperatorRow> = async (context, tx, snapshot, change) => {
  const { time } = context
  const { operator, isOwn } = targetOf(context, snapshot, change.operator)
  const isCurrent = (await readPasswordHash(tx, change.operatorId)) === change.presentHash
  if (operator.id !== change.operatorId || !isCurrent) {
    throw refuse('conflict', { detail: 'the password was changed meanwhile: try again' })
  }
  await setPassword(tx, operator.id, change.hash, time)
  // Another person may hold them: from now on the new password is the way in.
  const removedPasskeys = isOwn ? 0 : await removePasskeys(tx, operator.id)
  const endedSessions = await endLogins(tx, operator.name, time)
  const { passkeys, ...rest } = operator
  return {
    result: { ...rest, ...(isOwn && passkeys !== undefined && { passkeys }), passwordAt: time },
    entry: {
      resource: operatorResource(operator),
      detail: { ...(endedSessions.length > 0 && { endedSessions }), ...(removedPasskeys > 0 && { removedPasskeys }) },
    },
    changed: changedRows(operator),
  }
}
