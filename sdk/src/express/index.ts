/**
 * Middleware that puts the caller's identity on a request, for Express 4 and 5 and other frameworks that pass on Node's own
 * request and response. It does not import Express.
 */
import type { X509Certificate } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { PurserError, wordsOf } from '../errors.ts'
import { readAudience } from '../jwt/audience.ts'
import { checkOptions } from '../identity/check-options.ts'
import { readBearer } from './bearer.ts'
import { type Answer, answerTo, send } from './answer.ts'
import { readSpiffeId } from '../identity/spiffe-id.ts'
import { readAccept } from '../identity/accept.ts'
import { verifiedPeerOf } from '../tls/peer.ts'
import type { Accept } from '../types/tls-options.ts'
import type { Purser } from '../types/purser.ts'

/** The proven identity of a caller. */
export type Identity = {
  spiffeId: string
  /** Proven by a JWT-SVID in the Authorization header, or by the certificate of a connection that `purser.tls` accepted. */
  by: 'jwt' | 'mtls'
  /** Every claim of the JWT, frozen. */
  claims?: Readonly<Record<string, unknown>>
  /** The leaf certificate of the connection. */
  certificate?: X509Certificate
}

declare global {
  // Merges with Express's types, if they are installed.
  namespace Express {
    interface Request {
      identity?: Identity
    }
  }
}

export type IdentityOptions = {
  /** The name or names of this service, which JWTs must name as audience. Without it, JWTs are not accepted. */
  audience?: string | readonly string[]
  /** Which callers are accepted. Default: every workload of the trust domain. */
  accept?: Accept
  /** Whether the peer of a `purser.tls.server` connection identifies the caller if there is no JWT. Default: `true`. */
  mtls?: boolean
  /** As for `verifyJwt`. */
  revocation?: 'ask' | 'require' | 'off'
  /** Receives the reason of each refusal, for the service's log. The caller learns only what RFC 6750 defines. */
  onRefused?: (error: PurserError, request: IncomingMessage) => unknown
}

const names: Record<keyof IdentityOptions, true> = {
  audience: true,
  accept: true,
  mtls: true,
  revocation: true,
  onRefused: true,
}

type Request = IncomingMessage & { originalUrl?: string; identity?: Identity }
export type Middleware = (request: Request, response: ServerResponse, next: (error?: unknown) => void) => void

/**
 * Middleware that passes only requests with a proven identity, which it sets as `request.identity`. It answers others by
 * RFC 6750, as `application/problem+json`: 401, without an error code if there are no credentials; 400 for more than one
 * credential, or a token in the query; 403 if `accept` refuses; 503 with Retry-After if the keys are unavailable now.
 * @throws PurserError `bad_options`
 */
export function requireIdentity(
  purser: Pick<Purser, 'spiffeId' | 'verifyJwt'>,
  options: IdentityOptions = {},
): Middleware {
  checkOptions(options, names, 'requireIdentity')
  const { accept, mtls = true, revocation, onRefused } = options
  const audience = options.audience === undefined ? undefined : readAudience(options.audience)
  const { trustDomain = '' } = readSpiffeId(purser.spiffeId) ?? {}
  const accepts = accept === undefined ? () => true : readAccept(accept, trustDomain, warn)
  if (audience === undefined && !mtls) {
    throw new PurserError('bad_options', 'requireIdentity needs an audience for JWTs, mtls, or both')
  }

  function byPeer({ socket }: Request): Identity {
    const verified = mtls ? verifiedPeerOf(socket) : undefined
    const peer = verified?.peer
    // tls.socketServer checks its peers at the handshake, not at each request.
    if (verified && verified.endsAt <= Date.now()) {
      throw new PurserError(
        'unauthenticated',
        `the certificate of this connection has expired: ${verified.peer.spiffeId}`,
      )
    }
    if (peer?.trustDomain !== trustDomain) {
      throw new PurserError('unauthenticated', 'the request has neither a token nor a peer that purser.tls verified')
    }
    return { spiffeId: peer.spiffeId, by: 'mtls', certificate: peer.certificate }
  }

  async function identify(request: Request): Promise<Identity> {
    const token = audience === undefined ? undefined : readBearer(request)
    // An invalid token is refused even if the peer is valid: token and connection may have different owners.
    if (audience === undefined || token === undefined) return byPeer(request)
    const { spiffeId, claims } = await purser.verifyJwt(token, { audience, ...(revocation && { revocation }) })
    return { spiffeId, by: 'jwt', claims }
  }

  /** @returns the answer to a refused request; undefined if it passes */
  async function judge(request: Request): Promise<Answer | undefined> {
    try {
      const identity = await identify(request)
      if (!accepts(identity.spiffeId)) throw new PurserError('bad_peer', `${identity.spiffeId} is not accepted here`)
      request.identity = identity
      return undefined
    } catch (error) {
      if (!(error instanceof PurserError) || error.code === 'bad_options') throw error
      // An exception reaches next(); a promise is not awaited.
      Promise.resolve(onRefused?.(error, request)).catch((failure: unknown) => {
        warn(`onRefused rejected: ${wordsOf(failure)}`)
      })
      return answerTo(error, { realm: trustDomain, bearer: audience !== undefined })
    }
  }

  return (request, response, next) => {
    judge(request).then(
      (answer) => (answer ? process.nextTick(send, response, answer) : process.nextTick(next)),
      (error: unknown) => process.nextTick(next, error),
    )
  }
}

const warn = (warning: string): void => process.emitWarning(warning, 'PurserWarning')
