/** grant → access token: opaque, at most an hour, never past its session. What it may do is evaluated at each use. */
import type { SessionRow, TokenRow } from '../store/effects.ts'
import { endOf, rfc3339 } from './lifetime.ts'
import { newToken } from '../names/token.ts'

export type AccessTokenReply = { token: string; id: string; expiresAt: string }

export type IssueAccessToken = (
  request: { lifetimeSeconds?: number },
  grant: { maxLifetimeSeconds: number },
  session: Pick<SessionRow, 'id' | 'expiresAt'>,
  now: Date,
) => { reply: AccessTokenReply; record: { id: string; expiresAt: string }; row: TokenRow }

export function createIssueAccessToken(parts: { randomBytes: (size: number) => Buffer }): IssueAccessToken {
  return (request, grant, session, now) => {
    const expires = endOf(now, request.lifetimeSeconds, grant.maxLifetimeSeconds, [session.expiresAt])
    const { token, id, hash } = newToken('at', parts.randomBytes)
    const expiresAt = rfc3339(expires)
    return {
      reply: { token, id, expiresAt },
      record: { id, expiresAt },
      row: { id, hash, sessionId: session.id, expiresAt: expires },
    }
  }
}
