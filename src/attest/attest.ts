/** proof → verified facts. The attestor is chosen by the proof's issuer and audience together; that pair is unique. */
import { refuse } from '../errors.ts'
import type { AttestorRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { Attested, Attestor, Proof } from './attestor.ts'
import { type AttestorParts, createAttestor } from './kinds.ts'
import { addressOf, readProofText } from './proof-text.ts'

export type { Attested, Proof } from './attestor.ts'

export type Attestors = {
  /**
   * @param named the attestor that the caller names, where it does: it must be the one that the proof leads to
   * @throws Refusal with the true reason; callers see `attestation_failed`
   */
  attest(known: Pick<Snapshot, 'attestors'>, proof: Proof, named: string | undefined, now: Date): Promise<Attested>
  /** The working attestor of a row. */
  open(row: AttestorRow): Attestor
}

/** Attestors are made once for each revision of their row, with their key caches. */
export function createAttestors(parts: AttestorParts): Attestors {
  const made = new Map<string, Attestor>()

  function open(row: AttestorRow): Attestor {
    const known = made.get(row.id)
    if (known && known.row.revision === row.revision) return known
    const attestor = createAttestor(row, parts)
    made.set(row.id, attestor)
    return attestor
  }

  const byAddress = (
    known: Pick<Snapshot, 'attestors'>,
    issuer: string,
    audiences: string[],
  ): AttestorRow | undefined => {
    for (const row of known.attestors.values()) {
      if (row.issuer === issuer && row.audience !== undefined && audiences.includes(row.audience)) return row
    }
    return undefined
  }

  return {
    open,
    async attest(known, proof, named, now) {
      if (proof.kind === 'x509') throw refuse('client_certificate')
      if (proof.kind === 'join-token') throw refuse('join_token')
      const { issuer, audiences } = addressOf(readProofText(proof.token))
      const row = byAddress(known, issuer, audiences)
      if (!row) throw refuse('proof_issuer')
      if (named !== undefined && named !== row.name) throw refuse('attestor_unknown')
      return open(row).attest(proof.token, now)
    },
  }
}
