/** Workload entries, read once for each revision of their row: templates parsed, defaults filled in. */
import { type Match, type Selectors, matches } from '../names/selectors.ts'
import { type Template, parseTemplate } from '../names/template.ts'
import type { WorkloadRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { Grant, WorkloadDefinition } from './grant.ts'
import { readOperatorGrant } from './operator-grant.ts'
import { type SecretRule, readSecretRules } from './secret-grants.ts'

export type WorkloadEntry = {
  row: WorkloadRow
  match: Match
  wide: boolean
  spiffeId: Template
  /** What has no templates. */
  fixed: Pick<Grant, 'x509' | 'databases' | 'operator' | 'accessToken'>
  jwt?: {
    audiences: { audience: string; alg: 'ES256' | 'RS256'; claims: Record<string, Template> }[]
    maxLifetimeSeconds: number
  }
  secrets: SecretRule[]
  maxSessionSeconds?: number
  requirePodBound: boolean
  pinIdentity: boolean
}

export const defaultLifetimes = { x509: 3600, jwt: 300, accessToken: 3600 } as const

const templates = (claims: Record<string, string>): Record<string, Template> =>
  Object.fromEntries(Object.entries(claims).map(([name, text]) => [name, parseTemplate(text, 'claim')]))

/** openapi.yaml and check-definition.ts validated the stored definition. */
const isDefinition = (value: Record<string, unknown>): value is WorkloadDefinition => typeof value.spiffeId === 'string'

/** The definition as the operator wrote it. */
export function workloadOf({ id, definition }: Pick<WorkloadRow, 'id' | 'definition'>): WorkloadDefinition {
  if (isDefinition(definition)) return definition
  throw new Error(`the definition of ${id} is not one`)
}

/** @throws NameError if the definition breaks a rule of names. Stored definitions were validated when they were written */
export function readEntry(row: WorkloadRow): WorkloadEntry {
  const definition = workloadOf(row)
  const { x509, jwt, secrets, databases } = definition.grants ?? {}
  const operator = readOperatorGrant(definition.grants ?? {})
  return {
    row,
    match: definition.match ?? {},
    wide: definition.wide ?? false,
    spiffeId: parseTemplate(definition.spiffeId, 'spiffe-id'),
    fixed: {
      ...(x509 && {
        x509: { dnsNames: x509.dnsNames ?? [], maxLifetimeSeconds: x509.maxLifetimeSeconds ?? defaultLifetimes.x509 },
      }),
      databases: databases ?? [],
      ...(operator && { operator }),
      accessToken: { maxLifetimeSeconds: defaultLifetimes.accessToken },
    },
    ...(jwt && {
      jwt: {
        audiences: jwt.audiences.map((audience) =>
          typeof audience === 'string'
            ? { audience: audience, alg: 'ES256', claims: {} }
            : { audience: audience.audience, alg: audience.alg ?? 'ES256', claims: templates(audience.claims ?? {}) },
        ),
        maxLifetimeSeconds: jwt.maxLifetimeSeconds ?? defaultLifetimes.jwt,
      },
    }),
    secrets: readSecretRules(secrets ?? []),
    ...(definition.maxSessionSeconds !== undefined && { maxSessionSeconds: definition.maxSessionSeconds }),
    requirePodBound: definition.requirePodBound ?? true,
    pinIdentity: definition.pinIdentity ?? false,
  }
}

const read = new WeakMap<WorkloadRow, WorkloadEntry>()
export function entryOf(row: WorkloadRow): WorkloadEntry {
  const cached = read.get(row)
  if (cached) return cached
  const entry = readEntry(row)
  read.set(row, entry)
  return entry
}

/** All entries of one attestor, in any order: for rare changes of an attestor, since there may be a hundred thousand. */
export const entriesOf = (workloads: Snapshot['workloads'], attestorId: string): WorkloadEntry[] =>
  [...workloads.ofAttestor(attestorId)].map(entryOf)

/** The entries of one attestor that the same instance could match as this match, and some others, in the order of their names. */
export const entriesNear = (workloads: Snapshot['workloads'], attestorId: string, match: Match): WorkloadEntry[] =>
  workloads.mayOverlap(attestorId, match).map(entryOf)

/** The entries that the facts match, in the order of their names. An entry for a join token is matched by its id alone. */
export function matchingEntries(
  workloads: Snapshot['workloads'],
  { attestor, selectors, workloadId }: { attestor: { id: string }; selectors: Selectors; workloadId?: string },
): WorkloadEntry[] {
  if (workloadId !== undefined) {
    const row = workloads.get(workloadId)
    return row?.attestorId === attestor.id ? [entryOf(row)] : []
  }
  return workloads
    .candidates(attestor.id, selectors)
    .map(entryOf)
    .filter((entry) => matches(entry.match, selectors, entry.wide))
}
