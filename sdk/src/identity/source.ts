/**
 * The identity of this process, now and at each change. TLS and all else that presents the certificate read it here, so
 * that no part keeps an old one.
 */
import type { RevokedCertificates } from '../revocation/revoked.ts'
import type { X509 } from '../types/purser.ts'

export type IdentitySource = {
  /** Without the scheme: `example.org`. */
  readonly trustDomain: string
  /**
   * The current certificate, with the newest roots as its `trustBundle`.
   * @throws PurserError `expired` (with the failure of its renewal as its cause), `not_requested`, `closed`
   */
  identity(): X509
  /** Calls the listener after each new certificate and each change of the roots. @returns a function that removes it */
  onIdentity(listener: () => void): () => void
  revoked: RevokedCertificates
  /** Fires when the client closes. */
  closing: AbortSignal
}
