/**
 * A live X.509-SVID renews its own session. The facts were proven when the session began; the certificate shows that its
 * holder is the same.
 */
import { refuse } from '../errors.ts'
import { createSelectors } from '../names/selectors.ts'
import type { AttestorRow } from '../store/rows.ts'
import type { Attested, Renewed } from './attestor.ts'

/** TLS verified a client certificate that is valid now; `renews` is absent where it belongs to no live session. */
export type CertificateProof = { renews: Renewed | undefined }

/** @throws Refusal `client_certificate` without a certificate, `session_ended` where it belongs to no live session */
export function attestCertificate(
  certificate: CertificateProof | undefined,
  attestors: ReadonlyMap<string, AttestorRow>,
): { row: AttestorRow; attested: Attested } {
  if (!certificate) throw refuse('client_certificate')
  const { renews } = certificate
  const row = renews && attestors.get(renews.session.attestorId)
  if (!row) throw refuse('session_ended')
  const { session } = renews
  const attested = {
    attestor: row,
    selectors: createSelectors(Object.entries(session.selectors)),
    instance: [],
    expiresAt: session.expiresAt,
    renews,
  }
  return { row, attested }
}
