/**
 * What this process is, now and at each change. TLS, renewal by certificate and whatever else presents the identity are
 * made of this, so that none of them keeps a certificate of its own.
 */
import type { Revoked } from '../revocation/revoked.ts'
import type { X509 } from '../types/purser.ts'

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
