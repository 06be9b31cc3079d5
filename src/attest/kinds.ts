/** Every kind of attestor, one line each. A new kind is one file and one line here. */
import { refuse } from '../errors.ts'
import type { Match } from '../names/selectors.ts'
import type { AttestorRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { Attestor } from './attestor.ts'
import {
  type AttestorSpec,
  type CheckedDefinition,
  type DefinitionParts,
  type Report,
  checkAgainst,
} from './definition.ts'
import { joinTokenKind } from './join-token.ts'
import { createKubernetesAttestor, kubernetesReports } from './kubernetes.ts'
import { checkKubernetes } from './kubernetes-definition.ts'
import { createOidcAttestor, oidcReports } from './oidc.ts'
import { checkOidc } from './oidc-definition.ts'
import type { AttestorParts } from './parts.ts'
import { tooWide } from './presets.ts'

type Kind = {
  create: (row: AttestorRow, parts: AttestorParts) => Attestor
  /** Tells `report` what is wrong; what it answers is kept when nothing is. */
  check: (
    spec: AttestorSpec,
    parts: DefinitionParts,
    ownIssuer: string,
    report: Report,
  ) => CheckedDefinition | Promise<CheckedDefinition>
  /** Whether it can ever report such a fact. */
  reports: (key: string, row: Pick<AttestorRow, 'definition'>) => boolean
}

const kinds: Record<string, Kind> = {
  kubernetes: { create: createKubernetesAttestor, check: checkKubernetes, reports: kubernetesReports },
  oidc: { create: createOidcAttestor, check: checkOidc, reports: oidcReports },
}

/** Every kind there is, the built-in one included. */
export const attestorKinds: readonly string[] = [...Object.keys(kinds), joinTokenKind]

function kindOf(name: string): Kind {
  const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined
  if (kind) return kind
  throw new Error(`no attestor of kind ${name}`)
}

export const createAttestor = (row: AttestorRow, parts: AttestorParts): Attestor => kindOf(row.kind).create(row, parts)

/**
 * @param spec as openapi.yaml has it
 * @param snapshot the other attestors, and Purser's own issuer
 * @param replacing the id of the attestor that this one is written over
 * @throws Refusal `impossible` with everything that is wrong, or `conflict`
 */
export async function checkDefinition(
  spec: AttestorSpec,
  snapshot: Pick<Snapshot, 'attestors' | 'issuer'>,
  parts: DefinitionParts,
  replacing?: string,
): Promise<CheckedDefinition> {
  const errors: { pointer: string; detail: string }[] = []
  const report: Report = (pointer, detail) => void errors.push({ pointer, detail })
  const made = await kindOf(spec.kind).check(spec, parts, snapshot.issuer, report)
  if (errors.length > 0) throw refuse('impossible', { errors: errors.slice(0, 20) })
  checkAgainst(made, snapshot, replacing)
  return made
}

/** What a workload entry for this attestor is judged by. */
export function attestorRules(row: AttestorRow): {
  spiffeIdPrefix: string
  /** `token` where the proof itself names its entry. */
  matches: 'selectors' | 'token'
  reports: (key: string) => boolean
  /** What makes a match too wide for it, in words. */
  tooWide: (match: Match, wide: boolean) => string | undefined
} {
  const { kind, spiffeIdPrefix } = row
  if (kind === joinTokenKind)
    return { spiffeIdPrefix, matches: 'token', reports: (key) => key === 'join:token', tooWide: () => undefined }
  return {
    spiffeIdPrefix,
    matches: 'selectors',
    reports: (key) => kindOf(kind).reports(key, row),
    tooWide: (match, wide) => tooWide(row, match, wide),
  }
}
