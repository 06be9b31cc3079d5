/** The routes that a client asks, answered in this process: what Purser would answer, from memory. */
import type { PurserError } from '../errors.ts'
import type { OpenRequest } from '../connection/open-stream.ts'
import { version } from '../version.ts'
import { createCredentialsRoute } from './credentials.ts'
import { createLeaseRoutes } from './lease-routes.ts'
import { type Parts, type Reply, type Route, entryOf, newId } from './parts.ts'
import { Refusal, problemOf } from './refusal.ts'
import { createSecretRoutes } from './secret-routes.ts'
import { createSessionRoutes } from './session-routes.ts'
import type { Request, Answer } from '../connection/http.ts'

/** What came of a request, for whoever looks at it afterwards. */
export type Handled = { answer: Answer; requestId: string; reason: string | undefined; spiffeId: string | undefined }

export type Server = ReturnType<typeof createServer>

const refreshSeconds = 300

export function createServer(parts: Parts) {
  const { authority, jwtKeys, ledger, trustDomain, issuer, now } = parts
  const session = createSessionRoutes(parts)
  const secret = createSecretRoutes(parts, session)
  const leaseRoute = createLeaseRoutes(parts, session)
  const watches = new Set<ReturnType<typeof secret.watch>>()
  let sequence = 2
  ledger.append(entryOf(parts, newId('req'), 'key.create', { outcome: 'granted', actor: { kind: 'system' } }))

  const bundle: Route = () => {
    const roots = authority.rootCertificates().map((root) => ({
      ...root.publicKey.export({ format: 'jwk' }),
      use: 'x509-svid',
      x5c: [root.raw.toString('base64')],
    }))
    const keys = [...roots, ...jwtKeys.jwks('jwt-svid')]
    return { json: { keys, spiffe_sequence: sequence, spiffe_refresh_hint: refreshSeconds } }
  }

  const info: Route = () => ({
    json: {
      version,
      trustDomain,
      issuer,
      audiences: [issuer],
      features: ['x509', 'jwt', 'access-token', 'audit', 'renewal', 'secrets', 'databases', 'watch'],
      logKeys: [ledger.vkey],
      epoch: ledger.epoch,
    },
  })

  function crl(id: string): Reply {
    const bytes = authority.crl(id, now())
    if (!bytes) throw new Refusal('not_found')
    return { bytes, type: 'application/pkix-crl' }
  }

  const routes: Readonly<Record<string, Route>> = {
    'GET /api/v1/server': info,
    'GET /bundle': bundle,
    'GET /keys': () => ({ json: { keys: jwtKeys.jwks('sig') } }),
    'GET /ca.pem': () => ({ bytes: Buffer.from(authority.roots()), type: 'application/pem-certificate-chain' }),
    'POST /api/v1/credentials': createCredentialsRoute(parts),
    'GET /api/v1/credentials/self': session.who,
    'DELETE /api/v1/credentials/self': session.giveUp,
    'POST /api/v1/introspect': session.introspect,
    'POST /api/v1/secrets:read': secret.read,
  }

  function routeFor({ method, path }: Request): Route {
    const [, keyId] = /^\/crl\/([\w-]+)$/.exec(path) ?? []
    const [, acked] = /^\/api\/v1\/secrets\/(.+):ack$/.exec(path) ?? []
    if (method === 'POST' && acked !== undefined) return secret.ack(acked)
    const ofLease = method === 'POST' ? leaseRoute(path) : undefined
    const route = method === 'GET' && keyId !== undefined ? () => crl(keyId) : (ofLease ?? routes[`${method} ${path}`])
    if (!route) throw new Refusal('not_found')
    return route
  }

  return {
    /** Keys entered or left the bundle. */
    bundleMoved(): void {
      sequence++
      for (const watch of watches) watch.moved()
    },

    /** A stream of events. @throws Refusal */
    open(request: OpenRequest, noteWho: (spiffeId: string) => void) {
      const stream = secret.watch(request, noteWho, () => sequence)
      watches.add(stream)
      stream.onEnd(() => watches.delete(stream))
      return stream
    },

    /** Ends every stream, as a network that breaks does. */
    cutAll(error: PurserError): void {
      for (const watch of watches) watch.cut(error)
    },

    /** @param forced a refusal that a test wants in place of an answer */
    handle(request: Request, forced?: Refusal): Handled {
      const requestId = newId('req')
      let spiffeId: string | undefined
      const noteWho = (id: string): void => void (spiffeId = id)
      const answer = (reply: Reply, more: Record<string, string> = {}): Answer => {
        const { status = 200, json, bytes = Buffer.from(JSON.stringify(json)), type = 'application/json' } = reply
        const headers = { date: now().toUTCString(), 'content-type': type, 'purser-request-id': requestId, ...more }
        return { status, headers, bytes, text: bytes.toString('utf8') }
      }
      try {
        if (forced) throw forced
        const reply = routeFor(request)({ request, requestId, noteWho })
        return { answer: answer(reply), requestId, reason: undefined, spiffeId }
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        const { reason } = error
        ledger.append(entryOf(parts, requestId, 'request.refused', { outcome: 'refused', reason }))
        const { status, problem, headers } = problemOf(error, requestId)
        const type = 'application/problem+json'
        return { answer: answer({ status, json: problem, type }, headers), requestId, reason, spiffeId }
      }
    },
  }
}
