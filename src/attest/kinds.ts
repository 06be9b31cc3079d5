/** Every kind of attestor, one line each. A new kind is one file and one line here. */
import { refuse } from '../errors.ts'
import type { Match } from '../names/selectors.ts'
import type { AttestorRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { Attestor, AttestorParts } from './attestor.ts'
import {
  type AttestorSpec,
  type CheckedDefinition,
  type DefinitionParts,
  type Report,
  checkAgainst,
} from './definition.ts'
import { joinTokenKind } from './join-token.ts'
import { checkKubernetes } from './kubernetes-definition.ts'
import { createKubernetesAttestor, kubernetesReports } from './kubernetes.ts'
import { checkOidc } from './oidc-definition.ts'
import { createOidcAttestor, oidcReports } from './oidc.ts'
import { unapprovedRuns, widthFault } from './presets.ts'

type Kind = {
  create: (row: AttestorRow, parts: AttestorParts) => Attestor
  /** Reports every fault. The result is stored where there is none. */
  check: (
    spec: AttestorSpec,
    parts: DefinitionParts,
    ownIssuer: string,
    report: Report,
  ) => CheckedDefinition | Promise<CheckedDefinition>
  /** Whether the attestor can report such a fact. */
  reports: (key: string, row: Pick<AttestorRow, 'definition'>) => boolean
  wideForOperators: (row: Pick<AttestorRow, 'definition'>, match: Match) => string | undefined
}

/** Kubernetes gives a pod the service account that its author names. */
const anyAccount = (match: Match): string | undefined =>
  match['k8s:sa'] === undefined || match['k8s:sa'] === '*'
    ? 'every pod that the entry matches acts as an operator: add k8s:sa to the match'
    : undefined

const kinds: Record<string, Kind> = {
  kubernetes: {
    create: createKubernetesAttestor,
    check: checkKubernetes,
    reports: kubernetesReports,
    wideForOperators: (_, match) => anyAccount(match),
  },
  oidc: { create: createOidcAttestor, check: checkOidc, reports: oidcReports, wideForOperators: unapprovedRuns },
}

/** Every kind, the built-in one included. */
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
 * @param replacing the id of the attestor that this definition replaces
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
  const checked = await kindOf(spec.kind).check(spec, parts, snapshot.issuer, report)
  if (errors.length > 0) throw refuse('impossible', { errors: errors.slice(0, 20) })
  checkAgainst(checked, snapshot, replacing)
  return checked
}

/** The rules for workload entries of this attestor. */
export function attestorRules(row: AttestorRow): {
  spiffeIdPrefix: string
  /** `token` where the proof itself names its entry. */
  matches: 'selectors' | 'token'
  reports: (key: string) => boolean
  /** Why a match is too wide for the attestor. */
  tooWide: (match: Match, wide: boolean) => string | undefined
  /** Why a match is wide for workloads that act as operators. */
  wideForOperators: (match: Match) => string | undefined
} {
  const { kind, spiffeIdPrefix } = row
  if (kind === joinTokenKind)
    return {
      spiffeIdPrefix,
      matches: 'token',
      reports: (key) => key === 'join:token',
      tooWide: () => undefined,
      wideForOperators: () => undefined,
    }
  return {
    spiffeIdPrefix,
    matches: 'selectors',
    reports: (key) => kindOf(kind).reports(key, row),
    tooWide: (match, wide) => widthFault(row, match, wide),
    wideForOperators: (match) => kindOf(kind).wideForOperators(row, match),
  }
}
