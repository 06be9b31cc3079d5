/**
 * A live X.509-SVID of ours renews its own session (DESIGN.md, Attestation). The facts were proved when the session
 * began; the certificate only shows that its holder is still the same.
 */
import { refuse } from '../errors.ts'
import { createSelectors } from '../names/selectors.ts'
import type { AttestorRow } from '../store/rows.ts'
import type { Attested, Renewed } from './attestor.ts'

/** That TLS verified a client certificate that is valid now, and the live session that it was issued to. */
export type Certified = { renews: Renewed | undefined }

/** @throws Refusal `client_certificate` without one, `session_ended` where it is of no live session */
export function attestCertificate(
  certified: Certified | undefined,
  attestors: ReadonlyMap<string, AttestorRow>,
): { row: AttestorRow; attested: Attested } {
  if (!certified) throw refuse('client_certificate')
  const { renews } = certified
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
