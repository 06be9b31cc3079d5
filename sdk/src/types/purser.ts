/** A connected client, and the credentials that it holds. */
import type { Receipt } from '../verify/receipt.ts'
import type { Databases } from './databases.ts'
import type { EventName, Events } from './events.ts'
import type { FetchOptions, VerifiedJwt, VerifyJwtOptions } from './jwt.ts'
import type { Secrets } from './secrets.ts'
import type { Tls } from './tls.ts'

/** A choice that `connect()` made, and the alternatives that it passed over, in words for an operator. No secrets. */
export type Choice = {
  about: 'server' | 'trust' | 'audience' | 'proof' | 'log key' | 'credentials'
  chosen: string
  dismissed: readonly string[]
}

/** An X.509-SVID, ready for `https.createServer`, `tls.connect` or files. */
export type X509 = {
  /** PEM: leaf, then intermediates. */
  certificateChain: string
  /** PEM, PKCS #8. Generated in this process, unless the server was asked to generate it. */
  privateKey: string
  /** PEM: the roots that verify peers of this trust domain. */
  trustBundle: string
  spiffeId: string
  /** Lower-case hex. */
  serialNumber: string
  notAfter: Date
  /** About half of the lifetime: when to get the next certificate. */
  renewAfter: Date
}

export type AccessToken = { token: string; id: string; expiresAt: Date }
export type Session = { id: string; expiresAt: Date }

/** A connected client. It renews its credentials until `close()`. Its background work does not keep the process alive. */
export type Purser = {
  readonly spiffeId: string
  readonly workload: { readonly id: string; readonly name: string; readonly revision: number }
  readonly session: Session
  /**
   * The current certificate. Read it at each use: it is replaced about half of its lifetime in.
   * @throws PurserError `not_requested` after `connect({ x509: false })`; `expired` where it has expired and could not be
   *   renewed, with the reason as its cause
   */
  readonly x509: X509
  /** The newest access token; undefined unless `connect()` requested one. */
  readonly accessToken: AccessToken | undefined
  /** Verified proof that the newest request is in the log. Undefined with `receipts: 'off'`, or where `warn` ignored a fault. */
  readonly receipt: Receipt | undefined
  /** What `connect()` chose and what it passed over, in words for an operator. */
  readonly chosen: readonly Choice[]
  /** Servers and clients with mutual TLS, authorized by SPIFFE ID. */
  readonly tls: Tls
  /** Secrets that this workload is granted: read, kept current, and rotated without a restart. */
  readonly secrets: Secrets
  /** This session's roles in databases: created, renewed, and replaced without an error. */
  readonly databases: Databases
  /**
   * A JWT-SVID for one audience: the current one as long as it is valid for another 5 seconds (a quarter of a lifetime
   * below 20 seconds), else a new one. Concurrent calls share the request. A token that is used is renewed in the
   * background about half of its lifetime in. While Purser is away or has sent Retry-After, nothing is requested before
   * the next attempt is due.
   * @param options.signal stops waiting
   * @throws PurserError a refusal, also of the next token while the current one is valid; or, without a current token, the
   *   reason why Purser is unreachable
   */
  jwt(audience: string, options?: { signal?: AbortSignal }): Promise<string>
  /**
   * Verifies a caller's JWT-SVID: authentic, of this trust domain, for this service, and valid now (clocks may differ by
   * 10 s). It does not authorize the caller, unless `accept` does.
   *
   * Purser is asked whether the token was revoked; the answer is reused for 10 s. While Purser is unreachable, an answer of
   * the last 5 minutes is used, and a token without an answer is accepted with a warning; `revocation: 'require'` refuses
   * it instead. With `'off'` Purser is never asked, so a revoked token is accepted until it expires.
   * @throws PurserError `bad_token` naming the check that failed, `revoked`, `bad_peer` where `accept` refuses;
   *   `bad_options`; or the reason why the keys, or with `require` Purser's answer, are unavailable: try again later then
   */
  verifyJwt(token: string, options: VerifyJwtOptions): Promise<VerifiedJwt>
  /**
   * A `fetch` that adds a JWT for one audience, and sends it only to the named origins. It does not follow redirects. A
   * token that is refused as invalid is replaced and the request is repeated once, if its body can be. It rejects with a
   * PurserError where there is no token (see `jwt`); with `bad_options` for another origin or an Authorization header of
   * the caller, before anything is sent; with `redirected`.
   * @throws PurserError `bad_options`
   */
  fetch(options: FetchOptions): typeof globalThis.fetch
  /**
   * Renews all credentials now, for example after the workload entry changed. Concurrent calls share the request.
   * @throws PurserError the reason of the failure; the current credentials stay
   */
  renew(options?: { signal?: AbortSignal }): Promise<void>
  /** @returns a function that removes the listener. A listener that throws or rejects causes a warning. */
  on<N extends EventName>(name: N, listener: (event: Events[N]) => unknown): () => void
  /** Ends timers, connections and pending requests. Issued credentials stay valid until their end. */
  close(): void
  /** For logs: the identity, and nothing secret. */
  toJSON(): { spiffeId: string; session: Session }
}
