import { refuse } from '../../errors.ts'
import { rfc3339 } from '../../issue/lifetime.ts'
import { revokeApiToken } from '../../store/tokens.ts'
import type { ChangeAction } from '../context.ts'
import { defaultTokenSeconds } from './create.ts'
import { type ApiTokenParts, type CreatedToken, newApiToken } from './new-api-token.ts'
import { checkPassedOn } from './rights.ts'
import { findOwnToken } from './revoke.ts'

/**
 * Revokes a token and creates another one with the same operator, role and routes, in one change. So also the only token
 * of the only admin can be replaced. The new token is no wider than what the caller has, unless it is the caller's own.
 */
export const replaceToken =
  (parts: ApiTokenParts): ChangeAction<{ id: string; lifetimeSeconds?: number }, CreatedToken> =>
  async (context, tx, snapshot, { id, lifetimeSeconds = defaultTokenSeconds }) => {
    const { caller, token } = findOwnToken(context, snapshot, id)
    if (token.id !== caller.tokenId)
      checkPassedOn(caller, token, { role: '/path/id', routes: '/path/id', bound: '/path/id' })
    const { operator, role, routes, bound, description, expiresAt } = token
    if (token.login) throw refuse('conflict', { detail: 'this is a login session: log in again instead' })
    if (snapshot.operators.get(operator)?.disabled !== false) {
      throw refuse('conflict', { detail: 'the operator is disabled: revoke the token instead' })
    }
    await revokeApiToken(tx, id, context.time)
    const {
      result,
      entry,
      changed = [],
    } = await newApiToken(parts, tx, {
      operator,
      role,
      ...(routes && { routes }),
      ...(bound && { bound }),
      ...(description !== undefined && { description }),
      createdAt: context.time,
      lifetimeSeconds,
    })
    const before = { id, expiresAt: rfc3339(expiresAt) }
    return {
      result,
      entry: {
        ...entry,
        change: { before, ...entry.change, after: entry.change?.after },
        detail: { revokedTokenId: id },
      },
      changed: [...changed, { table: 'api_token', where: { id } }],
    }
  }
