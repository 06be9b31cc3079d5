/** Requests of a live session: its description and end, its leases, and the introspection of tokens (RFC 7662). */
import type { Fields } from '../json/fields.ts'
import type { WorkloadEntry } from './entries.ts'
import { type Context, type Parts, type Route, bodyOf, noContent, sessionFields } from './parts.ts'
import { Refusal, invalid } from './refusal.ts'
import type { Session } from './sessions.ts'

export type SessionRoutes = ReturnType<typeof createSessionRoutes>

export function createSessionRoutes(parts: Parts) {
  const { attestation, sessions, entries, jwtKeys, issuer, leases, ledger } = parts

  /**
   * The session of the access token, else of the certificate, and its workload entry.
   * @throws Refusal `unauthenticated`
   */
  function caller({ request: { as, bearer }, noteCaller }: Context): { session: Session; entry: WorkloadEntry } {
    const serialNumber = attestation.serialOf(as)
    const byCertificate = serialNumber === undefined ? undefined : sessions.byCertificate(serialNumber)
    const session = bearer === undefined ? byCertificate : sessions.byAccessToken(bearer)?.session
    const entry = session && entries.get(session.entry.spiffeId)
    if (!session || !entry) throw new Refusal('unauthenticated')
    noteCaller(entry.spiffeId)
    return { session, entry }
  }

  const owner = ({ id, entry }: Session): Fields => ({ session: id, workload: entries.get(entry.spiffeId)?.name })

  /** The answer is the same for an unknown, an expired and a revoked token, and for other text. */
  function introspected(token: string): Fields {
    const access = sessions.byAccessToken(token)
    if (access) {
      const { session, until } = access
      const claims = { iss: issuer, sub: session.entry.spiffeId, exp: Math.floor(until.getTime() / 1000) }
      return { active: true, token_type: 'access_token', ...claims, ...owner(session) }
    }
    const claims = jwtKeys.read(token)
    const session = typeof claims?.jti === 'string' ? sessions.byJwt(claims.jti) : undefined
    return session ? { active: true, token_type: 'jwt-svid', ...claims, ...owner(session) } : { active: false }
  }

  const self: Route = (context) => {
    const { session } = caller(context)
    return { json: { kind: 'workload', ...sessionFields(parts, session), attestor: 'test', selectors: {} } }
  }
  const giveUp: Route = (context) => {
    sessions.end(caller(context).session)
    return noContent
  }
  const introspect: Route = (context) => {
    const { token } = bodyOf(context.request)
    caller(context)
    if (typeof token !== 'string') throw invalid('/token', 'it must be text')
    return { json: introspected(token) }
  }
  const lease =
    (id: string, verb: 'renew' | 'revoke'): Route =>
    (context) => {
      const { session, entry } = caller(context)
      const json = verb === 'renew' ? leases.renew(id, entry, session) : leases.giveUp(id, session)
      const resource = { kind: 'lease', id, name: json.username }
      const outcome = verb === 'renew' ? 'completed' : 'granted'
      ledger.append({ requestId: context.requestId, action: `lease.${verb}`, outcome, resource })
      return { json }
    }

  return { caller, self, giveUp, introspect, lease }
}
