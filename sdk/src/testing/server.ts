/** Answers the requests of clients from memory, as the real server would. */
import type { Answer, Request } from '../connection/http.ts'
import type { OpenRequest } from '../connection/open-stream.ts'
import type { PurserError } from '../errors.ts'
import { version } from '../version.ts'
import { createCredentialsRoute } from './credentials.ts'
import { newId } from './format.ts'
import type { Parts, Reply, Route } from './parts.ts'
import { Refusal, problemOf } from './refusal.ts'
import { type Watch, createSecretRoutes } from './secret-routes.ts'
import { createSessionRoutes } from './session-routes.ts'

/** An answered request. `reason` is the true code of a refusal. */
export type Handled = { answer: Answer; requestId: string; reason: string | undefined; spiffeId: string | undefined }

export type Server = ReturnType<typeof createServer>

const refreshSeconds = 300

export function createServer(parts: Parts) {
  const { authority, jwtKeys, ledger, trustDomain, issuer, now } = parts
  const session = createSessionRoutes(parts)
  const secret = createSecretRoutes(parts, session)
  const watches = new Set<Watch>()
  let sequence = 2
  ledger.append({ requestId: newId('req'), action: 'key.create', outcome: 'granted', actor: { kind: 'system' } })

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

  const crl =
    (id: string): Route =>
    () => {
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
    'GET /api/v1/credentials/self': session.self,
    'DELETE /api/v1/credentials/self': session.giveUp,
    'POST /api/v1/introspect': session.introspect,
    'POST /api/v1/secrets:read': secret.read,
  }

  function routeFor({ method, path }: Request): Route {
    const line = `${method} ${path}`
    const [, keyId] = /^GET \/crl\/([\w-]+)$/.exec(line) ?? []
    if (keyId !== undefined) return crl(keyId)
    const [, secretPath] = /^POST \/api\/v1\/secrets\/(.+):ack$/.exec(line) ?? []
    if (secretPath !== undefined) return secret.ack(secretPath)
    const [, lease = '', verb] = /^POST \/api\/v1\/leases\/(ls_\w+):(renew|revoke)$/.exec(line) ?? []
    if (verb === 'renew' || verb === 'revoke') return session.lease(lease, verb)
    const route = routes[line]
    if (!route) throw new Refusal('not_found')
    return route
  }

  return {
    /** Tells the watches that keys entered or left the bundle. */
    bundleChanged(): void {
      sequence++
      for (const watch of watches) watch.bundleChanged()
    },

    /** Opens a stream of events. @throws Refusal */
    open(request: OpenRequest, noteCaller: (spiffeId: string) => void): Watch {
      const watch = secret.watch(request, noteCaller, () => sequence)
      watches.add(watch)
      watch.onEnd(() => watches.delete(watch))
      return watch
    },

    /** Breaks every stream, as a network does. */
    cutAll(error: PurserError): void {
      for (const watch of watches) watch.end(error)
    },

    /** @param forced a refusal that replaces the answer */
    handle(request: Request, forced?: Refusal): Handled {
      const requestId = newId('req')
      let spiffeId: string | undefined
      const noteCaller = (id: string): void => void (spiffeId = id)
      const answerOf = (reply: Reply, more: Record<string, string> = {}): Answer => {
        const { status = 200, json, bytes = Buffer.from(JSON.stringify(json)), type = 'application/json' } = reply
        const headers = { date: now().toUTCString(), 'content-type': type, 'purser-request-id': requestId, ...more }
        return { status, headers, bytes, text: bytes.toString('utf8') }
      }
      try {
        if (forced) throw forced
        const answer = answerOf(routeFor(request)({ request, requestId, noteCaller }))
        return { answer, requestId, reason: undefined, spiffeId }
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        const { reason } = error
        ledger.append({ requestId, action: 'request.refused', outcome: 'refused', reason })
        const { status, problem, headers } = problemOf(error, requestId)
        const answer = answerOf({ status, json: problem, type: 'application/problem+json' }, headers)
        return { answer, requestId, reason, spiffeId }
      }
    },
  }
}
