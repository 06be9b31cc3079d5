/** proof → verified facts. The attestor is chosen by the proof's issuer and audience together; that pair is unique. */
import { Refusal, refuse, shown } from '../errors.ts'
import type { AttestorRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { Attested, Attestor, Proof } from './attestor.ts'
import { type CertificateProof, attestCertificate } from './certificate.ts'
import type { AttestorSpec, CheckedDefinition, DefinitionParts } from './definition.ts'
import { type FindJoinToken, attestJoinToken, joinTokenKind } from './join-token.ts'
import { checkDefinition, createAttestor } from './kinds.ts'
import type { AttestorParts } from './parts.ts'
import { type ProofText, addressOf, readProofText } from './proof-text.ts'

export type { Attested, Proof, Renewed } from './attestor.ts'
export { joinTokenKind } from './join-token.ts'
export { attestorKinds, attestorRules } from './kinds.ts'

/** What is presented, and by whom. */
export type Presented = {
  proof: Proof
  /** The attestor that the caller names, where it does: it must be the one that the proof leads to. */
  attestor?: string | undefined
  /** The client certificate, for a proof of kind `x509`. */
  certificate?: CertificateProof | undefined
  /** Where a stranger calls from, for the limits. Absent where an operator asks about somebody's proof. */
  address?: string
}

type Admission =
  { ok: false; retryAfterSeconds: number } | { ok: true; settle: (outcome: 'proven' | 'failed' | 'unjudged') => void }
type Limits = {
  /** Once an unverified proof has named an attestor that exists, before it is verified. */
  admitProof(caller: { attestor: string; address: string }): Admission
}

type Parts = AttestorParts &
  DefinitionParts & {
    limits: Limits
    findJoinToken: FindJoinToken
    /** Hears of each proof that was judged, by the kind of its attestor. */
    onJudged?: (kind: string, outcome: 'granted' | 'refused') => void
    onLimited?: () => void
  }

export type Attestors = {
  /**
   * Verifies a proof and changes nothing: what may happen once is judged by the append.
   * @throws Refusal with the true reason, of which callers see `attestation_failed`; `rate_limited`, or `unavailable`
   * where the orchestrator is out of reach
   */
  attest(snapshot: Pick<Snapshot, 'attestors'>, presented: Presented, now: Date): Promise<Attested>
  /** The working attestor of a row. `check` on it reaches the orchestrator. */
  open(row: AttestorRow): Pick<Attestor, 'check'>
  /**
   * Judges an attestor that an operator writes and fills in its defaults.
   * @param replacing the id of the attestor that it is written over
   * @throws Refusal `impossible` with everything that is wrong, or `conflict` with another attestor
   */
  checkDefinition(
    spec: AttestorSpec,
    snapshot: Pick<Snapshot, 'attestors' | 'issuer'>,
    replacing?: string,
  ): Promise<CheckedDefinition>
}

/** Attestors are made once for each revision of their row, with their key caches. */
export function createAttestors(parts: Parts): Attestors {
  const made = new Map<string, Attestor>()

  function open(row: AttestorRow): Attestor {
    const known = made.get(row.id)
    if (known && known.row.revision === row.revision) return known
    const attestor = createAttestor(row, parts)
    made.set(row.id, attestor)
    return attestor
  }

  /** @throws Refusal `rate_limited` */
  function admit(from: { attestor: string; address: string }): (outcome: 'proven' | 'failed' | 'unjudged') => void {
    const admission = parts.limits.admitProof(from)
    if (admission.ok) return admission.settle
    parts.onLimited?.()
    throw refuse('rate_limited', { retryAfterSeconds: admission.retryAfterSeconds, attestor: from.attestor })
  }

  /** Where the proof leads, and what verifies it there. */
  function lead(snapshot: Pick<Snapshot, 'attestors'>, { proof, attestor: named, certificate }: Presented, now: Date) {
    if (proof.kind === 'x509') {
      const { row, attested } = attestCertificate(certificate, snapshot.attestors)
      if (named !== undefined && named !== row.name) throw refuse('attestor_unknown')
      return { row, verify: () => Promise.resolve(attested) }
    }
    const { token } = proof
    if (proof.kind === 'join-token') {
      const row = builtIn(snapshot.attestors, named)
      return { row, verify: () => attestJoinToken(row, token, parts.findJoinToken, now) }
    }
    const read = readProofText(token)
    const row = chosen(addressed(snapshot.attestors, read), named)
    return { row, verify: () => open(row).attest(read, now) }
  }

  return {
    open,
    checkDefinition: (spec, snapshot, replacing) => checkDefinition(spec, snapshot, parts, replacing),
    async attest(snapshot, presented, now) {
      const { row, verify } = lead(snapshot, presented, now)
      const { address } = presented
      const settle = address === undefined ? undefined : admit({ attestor: row.name, address })
      try {
        const attested = await verify()
        settle?.('proven')
        parts.onJudged?.(row.kind, 'granted')
        return attested
      } catch (error) {
        settle?.(isFailedProof(error) ? 'failed' : 'unjudged')
        parts.onJudged?.(row.kind, 'refused')
        throw error instanceof Refusal ? refuse(error.code, { ...error.info, attestor: row.name }) : error
      }
    },
  }
}

/** An orchestrator that is out of reach says nothing about the proof. */
const isFailedProof = (error: unknown): boolean =>
  error instanceof Refusal && shown(error.code).code === 'attestation_failed'

const indexes = new WeakMap<Snapshot['attestors'], Map<string, AttestorRow>>()
/** A JSON pair, so that no issuer can reach into another's audience. */
const pair = (issuer: string, audience: string): string => JSON.stringify([issuer, audience])

/** The attestors that take proofs of this issuer, for any of the proof's audiences. */
function addressed(attestors: Snapshot['attestors'], proof: ProofText): AttestorRow[] {
  let index = indexes.get(attestors)
  if (!index) {
    index = new Map()
    for (const row of attestors.values()) {
      if (row.issuer !== undefined && row.audience !== undefined) index.set(pair(row.issuer, row.audience), row)
    }
    indexes.set(attestors, index)
  }
  const { issuer, audiences } = addressOf(proof)
  return [...new Set(audiences)].flatMap((audience) => index.get(pair(issuer, audience)) ?? [])
}

function chosen(rows: AttestorRow[], named: string | undefined): AttestorRow {
  const [row] = rows
  if (!row) throw refuse('proof_issuer')
  const found = named === undefined ? rows : rows.filter(({ name }) => name === named)
  if (found[0] === undefined) throw refuse('attestor_unknown')
  if (found.length === 1) return found[0]
  throw refuse('proof_issuer', { explanation: { detail: 'several attestors take this proof: name one' } })
}

function builtIn(attestors: Snapshot['attestors'], named: string | undefined): AttestorRow {
  const row = [...attestors.values()].find(({ kind }) => kind === joinTokenKind)
  if (!row || (named !== undefined && named !== row.name)) throw refuse('attestor_unknown')
  return row
}
