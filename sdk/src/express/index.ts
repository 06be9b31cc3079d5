/**
 * The caller's identity on a request, for Express 4 and 5, and for anything else that hands on Node's own request and
 * response. Express itself is not imported.
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

/** Who asks, proven. */
export type Identity = {
  spiffeId: string
  /** A JWT-SVID in the Authorization header, or the certificate of a connection that `purser.tls` took. */
  by: 'jwt' | 'mtls'
  /** Of the JWT: every claim, frozen. */
  claims?: Readonly<Record<string, unknown>>
  /** Of the connection: the leaf. */
  certificate?: X509Certificate
}

declare global {
  // Where Express's types are there, its request has the member too.
  namespace Express {
    interface Request {
      identity?: Identity
    }
  }
}

export type IdentityOptions = {
  /** The name or names of this service, which JWTs must be for. With it JWTs are taken, and without it none. */
  audience?: string | readonly string[]
  /** Which callers; left out, any workload of the trust domain. */
  accept?: Accept
  /** Whether the peer of a connection counts where there is no JWT: yes, unless `false`. Only connections of `purser.tls.server` have one. */
  mtls?: boolean
  /** As for `verifyJwt`. */
  revocation?: 'ask' | 'require' | 'off'
  /** Told why somebody was refused, for the service's log; the caller is told no more than RFC 6750 says. */
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
 * Middleware that lets nobody pass whose identity is not proven, and puts it on the request as `request.identity`.
 * Others are answered by RFC 6750, as `application/problem+json`: 401, without an error where there are no credentials;
 * 400 for more than one, or a token in the query; 403 where `accept` refuses; 503 with Retry-After where the keys can't
 * be had now.
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
    throw new PurserError('bad_options', 'requireIdentity needs an audience for JWTs, or mtls, or both')
  }

  function byPeer({ socket }: Request): Identity {
    const known = mtls ? verifiedPeerOf(socket) : undefined
    const peer = known?.peer
    // A server of sockets (tls.socketServer) judges its peers at the handshake, and not at each request over it.
    if (known && known.endsAt <= Date.now()) {
      throw new PurserError('unauthenticated', `the certificate of this connection ended: ${known.peer.spiffeId}`)
    }
    if (peer?.trustDomain !== trustDomain) {
      throw new PurserError('unauthenticated', 'the request has neither a token nor a peer that purser.tls verified')
    }
    return { spiffeId: peer.spiffeId, by: 'mtls', certificate: peer.certificate }
  }

  async function identify(request: Request): Promise<Identity> {
    const token = audience === undefined ? undefined : readBearer(request)
    // A token that does not hold is refused, whoever the peer is: one of the two is not what it seems.
    if (audience === undefined || token === undefined) return byPeer(request)
    const { spiffeId, claims } = await purser.verifyJwt(token, { audience, ...(revocation && { revocation }) })
    return { spiffeId, by: 'jwt', claims }
  }

  /** What is answered; undefined where the request passes. */
  async function judge(request: Request): Promise<Answer | undefined> {
    try {
      const identity = await identify(request)
      if (!accepts(identity.spiffeId)) throw new PurserError('bad_peer', `${identity.spiffeId} is not accepted here`)
      request.identity = identity
      return undefined
    } catch (error) {
      if (!(error instanceof PurserError) || error.code === 'bad_options') throw error
      // What it throws is the caller's to hear of; nobody waits for a promise.
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
