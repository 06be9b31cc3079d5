/**
 * Whether a token of ours is live (RFC 7662). Unknown, expired, revoked and not even a token are one answer, so nobody
 * learns from it what there once was.
 */
import { readJwtSvid } from '../issue/read-jwt-svid.ts'
import { hashToken, tokenKind } from '../names/token.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { FindSession } from '../actions/sessions/find.ts'
import { bodyOf, json } from './request.ts'
import type { Read } from './route.ts'

export type IntrospectParts = { sessions: Pick<FindSession, 'token' | 'byJwt'> }

const inactive = { active: false } as const
const seconds = (time: Date): number => Math.floor(time.getTime() / 1000)

export function createIntrospect({ sessions }: IntrospectParts): Read {
  const about = (session: { id: string; workloadId: string }, { workloads }: Snapshot): Record<string, string> => {
    const workload = workloads.get(session.workloadId)
    return { session: session.id, ...(workload && { workload: workload.name }) }
  }

  async function accessToken(token: string, snapshot: Snapshot, now: Date): Promise<object> {
    const found = await sessions.token(hashToken(token), snapshot, now)
    if (!found) return inactive
    const { session, expiresAt } = found
    const sub = session.spiffeId
    return {
      active: true,
      token_type: 'access_token',
      iss: snapshot.issuer,
      sub,
      exp: seconds(expiresAt),
      ...about(session, snapshot),
    }
  }

  async function jwt(token: string, snapshot: Snapshot, now: Date): Promise<object> {
    const claims = await readJwtSvid(token, snapshot, now)
    const session = claims && (await sessions.byJwt(claims.jti, snapshot, now))
    return session ? { active: true, token_type: 'jwt-svid', ...claims, ...about(session, snapshot) } : inactive
  }

  return async (request, snapshot) => {
    const { time } = request
    const { token } = bodyOf(request, 'introspectToken')
    const kind = tokenKind(token)
    if (kind === 'at') return json(await accessToken(token, snapshot, time))
    return json(kind === undefined ? await jwt(token, snapshot, time) : inactive)
  }
}
