/** `POST /api/v1/introspect` (RFC 7662). */
import type { Actions } from '../actions/actions.ts'
import { bodyOf, json } from './request.ts'
import type { Read } from './route-kinds.ts'

export function createIntrospectRoute({ introspect }: Pick<Actions['sessions'], 'introspect'>): Read {
  return async (request, snapshot) => {
    const live = await introspect(request, snapshot, bodyOf(request, 'introspectToken').token)
    if (!live) return json({ active: false })
    const { session, workload } = live
    const claims =
      live.kind === 'jwt-svid'
        ? live.claims
        : { iss: live.issuer, sub: live.spiffeId, exp: Math.floor(live.expiresAt.getTime() / 1000) }
    return json({
      active: true,
      token_type: live.kind,
      ...claims,
      session,
      ...(workload !== undefined && { workload }),
    })
  }
}
