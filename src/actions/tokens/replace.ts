import { refuse } from '../../errors.ts'
import { rfc3339 } from '../../issue/lifetime.ts'
import { revokeApiToken } from '../../store/tokens.ts'
import { intersection } from '../../names/bound.ts'
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
    const { operator, role, routes, description, expiresAt } = token
    const owner = snapshot.operators.get(operator)
    const isOwn = token.id === caller.tokenId
    // The caller knows the new token: it stays within the caller's bound when its operator gets a wider one.
    const bound = isOwn || !caller.bound ? token.bound : intersection(token.bound, owner?.bound)
    if (!isOwn) {
      const pointers = { role: '/path/id', routes: '/path/id', bound: '/path/id' }
      checkPassedOn(caller, { role, ...(routes && { routes }), ...(bound && { bound }) }, pointers)
    }
    if (token.login) throw refuse('conflict', { detail: 'this is a login session: log in again instead' })
    if (owner?.disabled !== false) {
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
