/**
 * A live X.509-SVID of ours renews its own session (DESIGN.md, Attestation). The facts were proved when the session
 * began; the certificate only shows that its holder is still the same.
 */
import { refuse } from '../errors.ts'
import { createSelectors } from '../names/selectors.ts'
import type { StoredSession } from '../store/sessions.ts'
import type { AttestorRow } from '../store/rows.ts'
import type { Attested } from './attestor.ts'

/** A client certificate that TLS verified and that is valid now, and the live session that it was issued to. */
export type Certified = { serialNumber: string; session: StoredSession | undefined }

/** @throws Refusal `client_certificate` without one, `session_ended` where it is of no live session */
export function attestCertificate(
  certified: Certified | undefined,
  attestors: ReadonlyMap<string, AttestorRow>,
): { row: AttestorRow; attested: Attested } {
  if (!certified) throw refuse('client_certificate')
  const { session, serialNumber } = certified
  const row = session && attestors.get(session.attestorId)
  if (!row) throw refuse('session_ended')
  const attested = {
    attestor: row,
    selectors: createSelectors(Object.entries(session.selectors)),
    instance: [],
    expiresAt: session.expiresAt,
    renews: { session, serialNumber },
  }
  return { row, attested }
}
