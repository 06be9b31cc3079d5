/**
 * What this process is, now and at each change. TLS, renewal by certificate and whatever else presents the identity are
 * made of this, so that none of them keeps a certificate of its own.
 */
import type { X509Certificate } from 'node:crypto'
import type { X509 } from './purser.ts'

export type Source = {
  /** Without the scheme: `example.org`. */
  readonly trustDomain: string
  /**
   * The certificate as it is now, with the newest roots as its `trustBundle`.
   * @throws PurserError `expired` (with what kept it from being renewed as its cause), `not_requested`, `closed`
   */
  identity(): X509
  /** Hears of each new certificate and of each change of the roots. Answers how to stop hearing. */
  onIdentity(hear: () => void): () => void
  revoked: Revoked
  /** Ends with the client: what it ends is not to be used any more. */
  closing: AbortSignal
}

/** What Purser says was revoked, as of its newest CRLs. */
export type Revoked = {
  /**
   * True once a CRL names the certificate or one above it.
   * @param chain leaf first; CRLs that aren't known yet are asked for, and until then the answer is without them
   */
  includes(chain: readonly X509Certificate[]): boolean
  /** Hears when there is news, so that open connections are looked at again. Answers how to stop hearing. */
  onNews(hear: () => void): () => void
}
