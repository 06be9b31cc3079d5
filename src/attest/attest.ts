/** proof → verified facts. The proof's issuer and audience together choose the attestor: the pair is unique. */
import { Refusal, refuse, shown } from '../errors.ts'
import type { AttestorRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { Attestor, AttestorParts, Proof } from './attestor.ts'
import { type CertificateProof, attestCertificate } from './certificate.ts'
import type { AttestorSpec, DefinitionParts } from './definition.ts'
import { type FindJoinToken, attestJoinToken, joinTokenKind } from './join-token.ts'
import { checkDefinition, createAttestor } from './kinds.ts'
import { type ProofText, addressOf, readProofText } from './proof-text.ts'

export type { Attested, Proof, Renewed } from './attestor.ts'
export { joinTokenKind } from './join-token.ts'
export { attestorKinds, attestorRules } from './kinds.ts'

export type Presented = {
  proof: Proof
  /** The attestor that the caller names. The proof must lead to it. */
  attestor?: string | undefined
  /** The client certificate, for a proof of kind `x509`. */
  certificate?: CertificateProof | undefined
  /** The caller's address, for the limits. Absent where an operator explains a proof. */
  address?: string
}

type Admission =
  { ok: false; retryAfterSeconds: number } | { ok: true; settle: (outcome: 'proven' | 'failed' | 'unjudged') => void }
type Limits = {
  /** Called before a proof is verified, once it has led to a configured attestor. */
  admitProof(caller: { attestor: string; address: string }): Admission
}

type Parts = AttestorParts &
  DefinitionParts & {
    limits: Limits
    findJoinToken: FindJoinToken
    /** Called for each proof that was judged. */
    onJudged?: (kind: string, outcome: 'granted' | 'refused') => void
    onLimited?: () => void
  }

export type Attestors = ReturnType<typeof createAttestors>

/** Attestors are created once for each revision of their row, with their key caches. */
export function createAttestors(parts: Parts) {
  const attestors = new Map<string, Attestor>()

  function open(row: AttestorRow): Attestor {
    const cached = attestors.get(row.id)
    if (cached && cached.row.revision === row.revision) return cached
    const attestor = createAttestor(row, parts)
    attestors.set(row.id, attestor)
    return attestor
  }

  /** @throws Refusal `rate_limited` */
  function admit(caller: { attestor: string; address: string }): (outcome: 'proven' | 'failed' | 'unjudged') => void {
    const admission = parts.limits.admitProof(caller)
    if (admission.ok) return admission.settle
    parts.onLimited?.()
    throw refuse('rate_limited', { retryAfterSeconds: admission.retryAfterSeconds, attestor: caller.attestor })
  }

  /** The attestor of a proof, and the function that verifies it. */
  function route(
    snapshot: Pick<Snapshot, 'attestors'>,
    { proof, attestor: attestorName, certificate }: Presented,
    now: Date,
  ) {
    if (proof.kind === 'x509') {
      const { row, attested } = attestCertificate(certificate, snapshot.attestors)
      if (attestorName !== undefined && attestorName !== row.name) throw refuse('attestor_unknown')
      return { row, verify: () => Promise.resolve(attested) }
    }
    const { token } = proof
    if (proof.kind === 'join-token') {
      const row = joinAttestor(snapshot.attestors, attestorName)
      return { row, verify: () => attestJoinToken(row, token, parts.findJoinToken, now) }
    }
    const proofText = readProofText(token)
    const row = chooseAttestor(attestorsFor(snapshot.attestors, proofText), attestorName)
    return { row, verify: () => open(row).attest(proofText, now) }
  }

  return {
    /** The attestor of a row. Its `check` reaches the orchestrator. */
    open,
    /**
     * Checks a definition and fills in its defaults.
     * @param replacing the id of the attestor that the definition replaces
     * @throws Refusal `impossible` with every fault, or `conflict` with another attestor
     */
    checkDefinition: (spec: AttestorSpec, snapshot: Pick<Snapshot, 'attestors' | 'issuer'>, replacing?: string) =>
      checkDefinition(spec, snapshot, parts, replacing),
    /**
     * Verifies a proof and changes nothing: the append judges single use.
     * @throws Refusal with the true reason, which callers see as `attestation_failed`; `rate_limited`; `unavailable` where the
     * orchestrator is unreachable
     */
    async attest(snapshot: Pick<Snapshot, 'attestors'>, presented: Presented, now: Date) {
      const { row, verify } = route(snapshot, presented, now)
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

/** An unreachable orchestrator leaves the proof unjudged. */
const isFailedProof = (error: unknown): boolean =>
  error instanceof Refusal && shown(error.code).code === 'attestation_failed'

const indexes = new WeakMap<Snapshot['attestors'], Map<string, AttestorRow>>()
/** A JSON pair is unambiguous: no issuer's text can extend into the audience. */
const pair = (issuer: string, audience: string): string => JSON.stringify([issuer, audience])

/** The attestors of the proof's issuer, for any of its audiences. */
function attestorsFor(attestors: Snapshot['attestors'], proof: ProofText): AttestorRow[] {
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

function chooseAttestor(rows: AttestorRow[], attestorName: string | undefined): AttestorRow {
  const [row] = rows
  if (!row) throw refuse('proof_issuer')
  const [match, ...others] = attestorName === undefined ? rows : rows.filter(({ name }) => name === attestorName)
  if (!match) throw refuse('attestor_unknown')
  if (others.length === 0) return match
  throw refuse('proof_issuer', { explanation: { detail: 'several attestors take this proof: name one' } })
}

function joinAttestor(attestors: Snapshot['attestors'], attestorName: string | undefined): AttestorRow {
  const row = [...attestors.values()].find(({ kind }) => kind === joinTokenKind)
  if (!row || (attestorName !== undefined && attestorName !== row.name)) throw refuse('attestor_unknown')
  return row
}
