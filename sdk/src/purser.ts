/** What a program holds: the credentials as they are now. */
import type { Choice } from './choices.ts'
import type { Databases } from './databases/databases.ts'
import { unlessAborted } from './deadline.ts'
import { PurserError } from './errors.ts'
import type { Emitter, EventName, Listener } from './events.ts'
import type { Held } from './held.ts'
import { holding } from './holding.ts'
import { type FetchOptions, createFetch } from './jwt/fetch.ts'
import type { VerifiedJwt, VerifyJwt, VerifyJwtOptions } from './jwt/verify-jwt.ts'
import type { Keeper } from './keeper.ts'
import type { Secrets } from './secrets/secrets.ts'
import type { Source } from './source.ts'
import type { Tls } from './tls/tls.ts'
import type { Receipt } from './verify/receipt.ts'

/** An X.509-SVID, ready for `https.createServer`, `tls.connect` or files. */
export type X509 = {
  /** PEM: leaf, then intermediates. */
  certificateChain: string
  /** PEM, PKCS #8. Made in this process unless the server was asked to make it. */
  privateKey: string
  /** PEM: the roots that peers of this trust domain are verified with. */
  trustBundle: string
  spiffeId: string
  /** Lower-case hex. */
  serialNumber: string
  notAfter: Date
  /** About half of the lifetime: when to get the next one. */
  renewAfter: Date
}

export type AccessToken = { token: string; id: string; expiresAt: Date }
export type Session = { id: string; expiresAt: Date }

/** A connected client. It renews what it holds by itself until `close()`, and keeps no process alive for that. */
export type Purser = {
  readonly spiffeId: string
  readonly workload: { readonly id: string; readonly name: string; readonly revision: number }
  readonly session: Session
  /**
   * The certificate that is live now: read it at each use, since it is replaced about half its lifetime in.
   * @throws PurserError `not_requested` after `connect({ x509: false })`; `expired` where it ended and could not be renewed,
   *   with what kept it from that as its cause
   */
  readonly x509: X509
  /** The newest; undefined unless it was asked for. */
  readonly accessToken: AccessToken | undefined
  /** Proof that the newest request is in the log, verified. Undefined with `receipts: 'off'`, or where `warn` let one pass. */
  readonly receipt: Receipt | undefined
  /** What was found and what was passed over, in words for a person. */
  readonly chosen: readonly Choice[]
  /** Servers and clients that talk mutual TLS, authorized by SPIFFE ID. */
  readonly tls: Tls
  /** Secrets that this workload is granted: read, kept current, and rotated without a restart. */
  readonly secrets: Secrets
  /** Roles of this session's own in databases: had, renewed, and followed by the next without an error. */
  readonly databases: Databases
  /**
   * A JWT-SVID for one audience: the one that is held, as long as it is good for another 5 seconds (a quarter of a
   * lifetime below 20), else the next one, for which calls at the same time share a request. A token that is used is
   * renewed ahead of its end, about half its lifetime in, in the background. While Purser is away, or asked for patience
   * (Retry-After), nothing is asked before the next try is due.
   * @param options.signal gives up waiting
   * @throws PurserError a refusal, also of the next token while the last one lasts; or, where none is held, what keeps
   *   Purser from being reached
   */
  jwt(audience: string, options?: { signal?: AbortSignal }): Promise<string>
  /**
   * Who a caller is, by the JWT-SVID that it sent: authentic, of this trust domain, for this service, within its time
   * (clocks may differ by 10 s). What the caller may do is for the next line to say, unless `accept` does.
   *
   * Purser is asked whether the token was revoked, and its word used again for 10 s. While it can't be asked, its word
   * of the last 5 minutes counts, and a token that it said nothing about is accepted, with a warning. `revocation:
   * 'require'` refuses then instead; `'off'` never asks, so that a revoked token counts until it expires.
   * @throws PurserError `bad_token` naming the check that failed, `revoked`, `bad_peer` where `accept` refuses;
   *   `bad_options`; or what keeps the keys, or with `require` Purser's word, from being had: try again later then
   */
  verifyJwt(token: string, options: VerifyJwtOptions): Promise<VerifiedJwt>
  /**
   * A `fetch` that sends along a JWT for one audience, and only to the origins that are named. Redirects are not
   * followed. A token that is refused as invalid is replaced and the request sent once more, where its body can be.
   * It rejects with a PurserError where there is no token (see `jwt`); `bad_options` for another origin or an
   * Authorization header of the caller's, before anything is sent; `redirected`.
   * @throws PurserError `bad_options`
   */
  fetch(options: FetchOptions): typeof globalThis.fetch
  /**
   * Renews all that is held now, for example after its workload entry changed. Calls at the same time share a request.
   * @throws PurserError why it could not; what is held stays
   */
  renew(options?: { signal?: AbortSignal }): Promise<void>
  /** Answers how to stop listening. What a listener throws, or rejects with, is warned of. */
  on<N extends EventName>(name: N, listener: Listener<N>): () => void
  /** Ends timers, connections and what is under way. What was issued stays valid until its end. */
  close(): void
  /** For logs: who this is, and nothing secret. */
  toJSON(): { spiffeId: string; session: Session }
}

type Parts = {
  held: Held
  keeper: Keeper
  source: Pick<Source, 'identity'>
  verifyJwt: VerifyJwt
  tls: Tls
  secrets: Secrets
  databases: Databases
  emitter: Emitter
  chosen: readonly Choice[]
  closing: AbortSignal
  close: () => void
}

/** A token that ends sooner is of no use to who receives it, but for one that lives for seconds. */
const usable = { minMs: 5_000, minPart: 0.25 }
/** How soon one that was refused is asked for again, while the last one lasts. */
const refusedMs = 5_000

export function createPurser(parts: Parts): Purser {
  const { held, keeper, source, tls, verifyJwt, secrets, databases, emitter, chosen, closing, close } = parts
  const underWay = new Map<string, Promise<string>>()

  function shared(audience: string): Promise<string> {
    const asked = underWay.get(audience) ?? keeper.obtainJwt(audience).finally(() => underWay.delete(audience))
    underWay.set(audience, asked)
    return asked
  }

  /** Used from now on, so that it is renewed ahead of its end. */
  function used(audience: string, token: string): string {
    held.use(audience)
    keeper.look()
    return token
  }

  async function jwt(audience: string, { signal }: { signal?: AbortSignal } = {}): Promise<string> {
    if (closing.aborted) throw closing.reason
    if (typeof audience !== 'string' || audience === '') throw new PurserError('bad_options', 'an audience is text')
    const kept = held.jwt(audience)
    const isUsable = kept && kept.leftMs > Math.min(usable.minMs, kept.lifeMs * usable.minPart)
    if (isUsable && !kept.refused) return used(audience, kept.token)
    if (isUsable && kept.refused && kept.refused.agoMs < refusedMs) throw kept.refused.error
    return used(audience, await holding(() => unlessAborted(signal, () => shared(audience))))
  }

  /** Somebody refused a token: the one that came since then, or the next. */
  async function freshJwt(audience: string, refused: string): Promise<string> {
    if (held.jwt(audience)?.token !== refused) return jwt(audience)
    return used(audience, await holding(() => shared(audience)))
  }

  return {
    get spiffeId() {
      return held.newest().spiffeId
    },
    get workload() {
      return held.newest().workload
    },
    get session() {
      return held.newest().session
    },
    get x509() {
      return source.identity()
    },
    get accessToken() {
      return held.accessToken()
    },
    get receipt() {
      return held.newest().receipt
    },
    chosen,
    jwt,
    verifyJwt: (token, options) => holding(() => verifyJwt(token, options)),
    fetch: (options) => createFetch({ jwt, freshJwt }, options),
    tls,
    secrets,
    databases,
    renew: ({ signal } = {}) =>
      closing.aborted ? Promise.reject(closing.reason) : holding(() => keeper.renewAll(signal)),
    on: emitter.on,
    close,
    toJSON: () => ({ spiffeId: held.newest().spiffeId, session: held.newest().session }),
  }
}
