import { refuse } from '../../errors.ts'
import type { Knex } from '../../store/database.ts'
import { readPasswordHash, rememberAddress, replaceHash } from '../../store/passwords.ts'
import type { OperatorRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { ChangeAction } from '../context.ts'
import { spendCode } from '../second-factors/check.ts'
import type { CreatedToken } from '../tokens/new-api-token.ts'
import { type SessionParts, newSession } from './new-session.ts'
import type { VerifiedLogin } from './verify.ts'

/** Creates a session with a new token. It has the role of the operator and all routes. */
export const createLogin =
  (parts: SessionParts): ChangeAction<VerifiedLogin, CreatedToken> =>
  async ({ time }, tx, snapshot, login) => {
    const operator = await stillRight(tx, snapshot, login)
    if (login.checkedCode) await spendCode(tx, login, login.checkedCode, time)
    if (login.newHash !== undefined) await replaceHash(tx, operator.id, login.newHash)
    await rememberAddress(tx, operator.id, login.prefix, time)
    const { lifetimeSeconds, isBrowser } = login
    const session = { operator, role: operator.role, createdAt: time, lifetimeSeconds, isBrowser }
    return newSession(parts, tx, snapshot, session, {
      knownAddress: login.isKnownAddress,
      ...(login.checkedCode && { secondFactor: login.checkedCode.kind }),
    })
  }

/**
 * The operator, as long as neither it nor its password has changed since the password was verified.
 * @throws Refusal `unauthenticated`
 */
async function stillRight(
  tx: Knex.Transaction,
  { operators }: Snapshot,
  { operator: name, operatorId, hash, checkedCode }: VerifiedLogin,
): Promise<OperatorRow> {
  const operator = operators.get(name)
  const isCurrent = operator?.id === operatorId && !operator.disabled && (!operator.secondFactorAt || checkedCode)
  if (isCurrent && (await readPasswordHash(tx, operatorId)) === hash) return operator
  throw refuse('unauthenticated', { explanation: { operator: name, cause: 'changed during the login' } })
}
