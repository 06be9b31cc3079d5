/**
 * Checks the definition of an attestor as a whole and fills in its defaults. The schema of openapi.yaml is checked before;
 * these are the rules that a schema cannot express.
 */
import { type Problem, refuse } from '../errors.ts'
import { isMembers } from '../json/members.ts'
import { faultOfAnchors } from '../keys/trust-anchors.ts'
import { isAudience } from '../names/audience.ts'
import { NameError } from '../names/errors.ts'
import { parsePrefix, prefixesOverlap } from '../names/spiffe-id.ts'
import type { AttestorRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { KeysDefinition, LoginDefinition } from './attestor.ts'
import { faultOfJwk } from './key-set.ts'
import type { KubernetesDefinition } from './kubernetes.ts'
import type { PresetName } from './presets.ts'

/** A definition as an operator writes it. Its members depend on the kind (openapi.yaml). */
export type AttestorSpec = {
  name: string
  kind: string
  issuer?: string
  audience?: string
  spiffeIdPrefix?: string
  keys?: KeysDefinition
  algorithms?: string[]
  maxTokenAgeSeconds?: number
  singleUse?: boolean
  otherAudiences?: 'allow' | 'refuse'
  managedBy?: string
  preset?: PresetName
  caPem?: string
  login?: LoginDefinition
  verify?: KubernetesDefinition['verify']
  apiServer?: 'in-cluster' | { url: string; caPem: string; tokenFile?: string; auth?: 'purser-jwt' }
}

export type CheckedDefinition = Pick<AttestorRow, 'name' | 'kind' | 'spiffeIdPrefix' | 'definition'> & {
  issuer: string
  audience: string
}

export type DefinitionParts = {
  /** The audiences of this server (PURSER_AUDIENCES). */
  audiences: readonly string[]
  readFile: (path: string) => Promise<string>
}

/** Collects faults, so that an operator sees all of them at once. */
export type Report = (pointer: string, detail: string) => void

export function checkCommon(spec: AttestorSpec, audiences: readonly string[], ownIssuer: string, report: Report): void {
  const { audience, issuer, keys, login } = spec
  if (audience === undefined || !isAudience(audience)) report('/audience', 'must be 1 to 255 printable characters')
  // The audience of an ID token is a client id, which the issuer chooses.
  else if (!login && !audiences.includes(audience))
    report(
      '/audience',
      `must be one of the audiences of this server, which are ${audiences.join(', ')}: ` +
        'use one of them here and in the orchestrator, or add yours to PURSER_AUDIENCES and restart the server',
    )
  if (issuer !== undefined) checkUrl('/issuer', issuer, report)
  // Purser's own JWTs would be proofs, and each session could open another one without end.
  if (issuer === ownIssuer) report('/issuer', 'is Purser’s own')
  if (keys?.jwksUrl !== undefined) checkUrl('/keys/jwksUrl', keys.jwksUrl, report)
  if (keys?.jwks) checkInline(keys.jwks.keys, report)
  const prefix = problemOf(() => parsePrefix(spec.spiffeIdPrefix ?? `/${spec.name}/`))
  if (prefix !== undefined) report('/spiffeIdPrefix', prefix)
}

export function checkUrl(pointer: string, text: string, report: Report): void {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== 'https:') report(pointer, 'must be an https URL')
  else if (url.username !== '' || url.password !== '') report(pointer, 'must not hold a name or password')
  else if (url.search !== '' || url.hash !== '') report(pointer, 'must not have a query or fragment')
}

export function checkAnchors(pointer: string, pem: string, report: Report): void {
  const fault = faultOfAnchors(pem)
  if (fault !== undefined) report(pointer, fault)
}

function checkInline(keys: readonly unknown[], report: Report): void {
  const ids = keys.map((key) => (isMembers(key) ? key.kid : undefined))
  keys.forEach((key, n) => {
    const why = faultOfJwk(key)
    if (why !== undefined) report(`/keys/jwks/keys/${n}`, why)
    else if (ids.indexOf(ids[n]) !== n) report(`/keys/jwks/keys/${n}/kid`, 'is that of another key in the list')
  })
}

/**
 * The pair of issuer and audience, which chooses an attestor for a proof, and the subtree of SPIFFE IDs must be unique.
 * @throws Refusal `conflict`
 */
export function checkAgainst(
  checked: CheckedDefinition,
  { attestors }: Pick<Snapshot, 'attestors'>,
  replacing: string | undefined,
): void {
  const errors: Problem[] = []
  for (const other of attestors.values()) {
    if (other.id === replacing) continue
    if (prefixesOverlap(checked.spiffeIdPrefix, other.spiffeIdPrefix))
      errors.push({ pointer: '/spiffeIdPrefix', detail: `overlaps that of attestor ${other.name}` })
    if (other.issuer === checked.issuer && other.audience === checked.audience)
      errors.push({ pointer: '/issuer', detail: conflictDetail(other) })
  }
  if (errors.length > 0) throw refuse('conflict', { errors: errors.slice(0, 20) })
}

/** Many clusters share the issuer that kubeadm sets, so the text says how to tell them apart. */
function conflictDetail({ name, kind }: AttestorRow): string {
  const conflict = `attestor ${name} takes this issuer and audience already`
  if (kind !== 'kubernetes') return `${conflict}: change it, or give this one another audience`
  return (
    `${conflict}. Clusters with the same issuer differ by audience: list another audience in PURSER_AUDIENCES, restart the server, ` +
    "and use it in this attestor and in its pods' projected tokens; or give the cluster an issuer of its own (--service-account-issuer of its API server)"
  )
}

function problemOf(check: () => unknown): string | undefined {
  try {
    check()
    return undefined
  } catch (error) {
    if (error instanceof NameError) return error.detail
    throw error
  }
}
