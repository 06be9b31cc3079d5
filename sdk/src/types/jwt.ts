/** JWT-SVIDs: sending them, and verifying those of others. */
import type { Accept } from './tls-options.ts'

export type FetchOptions = {
  /** The audience of the token. */
  audience: string
  /** Where the token may be sent: `https://host[:port]`, or `http://` to 127.0.0.0/8 or ::1. Other origins are refused. */
  origins: readonly string[]
  /** Used instead of the global `fetch`, for example undici's with a dispatcher. */
  fetch?: typeof globalThis.fetch
}

export type VerifyJwtOptions = {
  /** The name or names of this service. A token for another audience is refused. There is no default. */
  audience: string | readonly string[]
  /** Which callers are accepted: a SPIFFE ID, a prefix that ends in `/*`, a list of these, or a function. Default: the trust domain. */
  accept?: Accept
  /** Whether to ask Purser if the token was revoked; see `Purser.verifyJwt`. Default: `'ask'`. */
  revocation?: 'ask' | 'require' | 'off'
  /** Seconds for which Purser's answer about a token is reused, 0 to 300. Default: 10. */
  revocationMaxAgeSeconds?: number
  /** Stops waiting. */
  signal?: AbortSignal
}

export type VerifiedJwt = {
  spiffeId: string
  audience: readonly string[]
  expiresAt: Date
  issuedAt: Date
  jti: string
  /** Every claim, frozen. Objects in it have no prototype. */
  claims: Readonly<Record<string, unknown>>
}
