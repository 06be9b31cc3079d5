import { refuse } from '../../errors.ts'
import { isLiveToken } from '../../operators/admins.ts'
import type { Knex } from '../../store/database.ts'
import { readPasswordHash, rememberAddress, replaceHash } from '../../store/passwords.ts'
import type { ApiTokenRow, OperatorRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { revokeApiToken } from '../../store/tokens.ts'
import type { ChangeAction } from '../context.ts'
import { type ApiTokenParts, type CreatedToken, newApiToken } from '../tokens/new-api-token.ts'
import { spendCode } from '../second-factors/check.ts'
import type { VerifiedLogin } from './verify.ts'

export const maxSessionSeconds = 12 * 3600
/** Live sessions of one operator: a further login ends the oldest. */
const maxSessions = 20

/** Creates a session with a new token. It has the role of the operator and all routes. */
export const createLogin =
  (parts: ApiTokenParts): ChangeAction<VerifiedLogin, CreatedToken> =>
  async ({ time }, tx, snapshot, login) => {
    const operator = await stillRight(tx, snapshot, login)
    const { name, role, bound } = operator
    if (login.checkedCode) await spendCode(tx, login, login.checkedCode, time)
    if (login.newHash !== undefined) await replaceHash(tx, operator.id, login.newHash)
    await rememberAddress(tx, operator.id, login.prefix, time)
    const ended = oldestSessions(snapshot, name, time)
    for (const { id } of ended) await revokeApiToken(tx, id, time)
    const { lifetimeSeconds = maxSessionSeconds } = login
    const {
      result,
      entry,
      changed = [],
    } = await newApiToken(parts, tx, {
      operator: name,
      role,
      ...(bound && { bound }),
      createdAt: time,
      lifetimeSeconds,
      login: true,
    })
    return {
      result,
      entry: {
        ...entry,
        actor: { kind: 'operator', operator: name, tokenId: result.id },
        detail: {
          knownAddress: login.isKnownAddress,
          ...(login.checkedCode && { secondFactor: login.checkedCode.kind }),
          ...(ended.length > 0 && { endedSessions: ended.map(({ id }) => id) }),
        },
      },
      changed: [...changed, ...ended.map(({ id }) => ({ table: 'api_token' as const, where: { id } }))],
    }
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

/** Those that make room for one more. */
function oldestSessions({ apiTokens }: Snapshot, operator: string, now: Date): ApiTokenRow[] {
  const live = [...apiTokens.values()].filter((row) => row.login && row.operator === operator && isLiveToken(row, now))
  const byAge = live.toSorted((a, b) => a.createdAt.getTime() - b.createdAt.getTime())
  return byAge.slice(0, Math.max(0, live.length - maxSessions + 1))
}
