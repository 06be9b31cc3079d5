/**
 * Whether a token that Purser issued is live (RFC 7662). A token that is unknown, expired, revoked or malformed gets one
 * and the same answer, so that the answer does not reveal what existed (RFC 7662, section 4). So does a token outside the
 * caller's bound.
 */
import { boundOf } from '../../authorize/caller.ts'
import { type OwnJwt, readJwtSvid } from '../../issue/read-jwt-svid.ts'
import { hasSpiffeId } from '../../names/bound.ts'
import { hashToken, tokenKind } from '../../names/token.ts'
import type { StoredSession } from '../../store/sessions.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import type { FindSession } from './find.ts'

type Live = { session: string; workload?: string } & (
  { kind: 'access_token'; issuer: string; spiffeId: string; expiresAt: Date } | { kind: 'jwt-svid'; claims: OwnJwt }
)

export type Introspect = (
  context: Pick<Context, 'caller' | 'time'>,
  snapshot: Snapshot,
  token: string,
) => Promise<Live | undefined>

export function createIntrospect(sessions: Pick<FindSession, 'token' | 'byJwt'>): Introspect {
  const holderOf = ({ id, workloadId }: StoredSession, { workloads }: Snapshot) => {
    const workload = workloads.get(workloadId)
    return { session: id, ...(workload && { workload: workload.name }) }
  }

  return async ({ caller, time: now }, snapshot, token) => {
    const bound = boundOf(caller)
    const kind = tokenKind(token)
    if (kind === 'at') {
      const live = await sessions.token(hashToken(token), snapshot, now)
      if (!live || !hasSpiffeId(bound, live.session.spiffeId)) return undefined
      const { session, expiresAt } = live
      const { issuer } = snapshot
      return { kind: 'access_token', issuer, spiffeId: session.spiffeId, expiresAt, ...holderOf(session, snapshot) }
    }
    if (kind !== undefined) return undefined
    const claims = await readJwtSvid(token, snapshot, now)
    const session = claims && (await sessions.byJwt(claims.jti, snapshot, now))
    if (!session || !hasSpiffeId(bound, session.spiffeId)) return undefined
    return { kind: 'jwt-svid', claims, ...holderOf(session, snapshot) }
  }
}
