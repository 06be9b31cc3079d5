/** What a live session may ask: who it is, its own end, and whether a token is live (RFC 7662). */
import type { Fields } from '../json/fields.ts'
import { type Context, type Parts, type Route, bodyOf, sessionFields } from './parts.ts'
import { Refusal, invalid } from './refusal.ts'
import type { Session } from './sessions.ts'

/** @throws Refusal `unauthenticated` */
export type FindCaller = (context: Context) => Session

export function createSessionRoutes(parts: Parts): {
  who: Route
  giveUp: Route
  introspect: Route
  caller: FindCaller
} {
  const { attests, sessions, entries, jwtKeys, issuer } = parts

  /** By its access token, else by its certificate. @throws Refusal `unauthenticated` */
  function caller({ request: { as, bearer }, noteWho }: Context): Session {
    const serialNumber = attests.serialOf(as)
    const byCertificate = serialNumber === undefined ? undefined : sessions.byCertificate(serialNumber)
    const session = bearer === undefined ? byCertificate : sessions.byAccessToken(bearer)?.session
    if (!session) throw new Refusal('unauthenticated')
    noteWho(session.entry.spiffeId)
    return session
  }

  const about = ({ id, entry }: Session): Fields => ({ session: id, workload: entries.get(entry.spiffeId)?.name })

  /** Unknown, expired, revoked and no token at all are one answer. */
  function introspected(token: string): Fields {
    const access = sessions.byAccessToken(token)
    if (access) {
      const { session, until } = access
      const claims = { iss: issuer, sub: session.entry.spiffeId, exp: Math.floor(until.getTime() / 1000) }
      return { active: true, token_type: 'access_token', ...claims, ...about(session) }
    }
    const claims = jwtKeys.read(token)
    const session = typeof claims?.jti === 'string' ? sessions.byJwt(claims.jti) : undefined
    return session ? { active: true, token_type: 'jwt-svid', ...claims, ...about(session) } : { active: false }
  }

  return {
    caller,
    who(context) {
      const session = caller(context)
      return { json: { kind: 'workload', ...sessionFields(parts, session), attestor: 'test', selectors: {} } }
    },
    giveUp(context) {
      sessions.end(caller(context))
      return { status: 204, bytes: Buffer.alloc(0), type: 'text/plain' }
    },
    introspect(context) {
      const { token } = bodyOf(context.request)
      caller(context)
      if (typeof token !== 'string') throw invalid('/token', 'it must be text')
      return { json: introspected(token) }
    },
  }
}
