/**
 * The bound of an operator or API token: what it may name, list, write and grant. Outside its bound, an object does not
 * exist for it. A member that is empty or absent permits nothing; an absent bound permits everything.
 */
import { isDnsName, isUnder } from './dns-name.ts'
import { NameError } from './errors.ts'
import { parseSecretPath } from './secret-path.ts'
import { parsePrefix } from './spiffe-id.ts'

export type Bound = {
  /** Names of attestors. */
  attestors: readonly string[]
  /** The beginning of the names of workload entries and operators that are created. */
  namePrefix?: string
  /** The beginning of the paths of SPIFFE IDs, with a slash at both ends. */
  spiffeIdPrefix?: string
  /** The beginning of secret paths, with a slash at its end. */
  secretPrefix?: string
  /** Audiences of JWTs. */
  audiences: readonly string[]
  /** Domains whose names certificates may have. */
  dnsSuffixes: readonly string[]
  /** Names of databases. */
  databases: readonly string[]
}

const prefixes = ['namePrefix', 'spiffeIdPrefix', 'secretPrefix'] as const
export const boundLists = ['attestors', 'audiences', 'dnsSuffixes', 'databases'] as const

/** As an operator writes it. */
export type BoundDefinition = Partial<Bound>

/** Sorted and without repetition, so that equal bounds have equal texts. */
export function readBound(definition: BoundDefinition): Bound {
  const bound: Bound = { attestors: [], audiences: [], dnsSuffixes: [], databases: [] }
  for (const name of boundLists) bound[name] = [...new Set(definition[name] ?? [])].sort()
  for (const name of prefixes) {
    const prefix = definition[name]
    if (prefix !== undefined) bound[name] = prefix
  }
  return bound
}

type Fault = { member: keyof Bound; index?: number; detail: string }

/** What is wrong with a bound. An existing database or attestor is not required: it may be created later. */
export function boundFaults({ namePrefix, spiffeIdPrefix, secretPrefix, dnsSuffixes = [] }: BoundDefinition): Fault[] {
  const faults: Fault[] = []
  const check = (member: keyof Bound, parse: () => unknown): void => {
    try {
      parse()
    } catch (error) {
      if (!(error instanceof NameError)) throw error
      faults.push({ member, detail: error.detail })
    }
  }
  if (namePrefix !== undefined && !/^[a-z0-9][a-z0-9._-]{0,61}[._-]$/.test(namePrefix)) {
    faults.push({
      member: 'namePrefix',
      detail: 'must be 2 to 63 of a-z, 0-9, dot, underscore and hyphen, and end in dot, underscore or hyphen',
    })
  }
  if (spiffeIdPrefix !== undefined) check('spiffeIdPrefix', () => parsePrefix(spiffeIdPrefix))
  if (secretPrefix !== undefined) check('secretPrefix', () => parseSecretPrefix(secretPrefix))
  for (const [index, suffix] of dnsSuffixes.entries()) {
    if (!isDnsName(suffix)) faults.push({ member: 'dnsSuffixes', index, detail: 'must be a DNS name in lower case' })
  }
  return faults
}

function parseSecretPrefix(text: string): void {
  if (!text.endsWith('/')) throw new NameError('bad_path', 'the prefix of secret paths ends in a slash')
  parseSecretPath(text.slice(0, -1))
}

const startsWith = (text: string, prefix: string | undefined): boolean =>
  prefix !== undefined && text.length > prefix.length && text.startsWith(prefix)

/** Also for a prefix of paths, or the pattern of a grant: its literal beginning must lie within the bound. */
export const hasSecretPath = (bound: Bound | undefined, path: string): boolean =>
  !bound || startsWith(path, bound.secretPrefix)

/** Whether a path that begins so could lie within the bound. */
export const hasSecretsUnder = (bound: Bound | undefined, prefix: string): boolean =>
  secretRootsOf(bound).some((root) => root.startsWith(prefix) || prefix.startsWith(root))

/** Texts of which one begins every path within the bound. */
export const secretRootsOf = (bound: Bound | undefined): string[] =>
  bound ? (bound.secretPrefix === undefined ? [] : [bound.secretPrefix]) : ['']

/** Also for a template: its literal beginning must lie within the bound. */
export const hasSpiffeId = (bound: Bound | undefined, id: string): boolean =>
  !bound || startsWith(id.replace(/^spiffe:\/\/[^/]*/, ''), bound.spiffeIdPrefix)

/** What SPIFFE IDs within the bound begin with; undefined for none. */
export const spiffeIdRoot = (
  { trustDomain }: { trustDomain: string },
  { spiffeIdPrefix }: Bound,
): string | undefined => (spiffeIdPrefix === undefined ? undefined : `spiffe://${trustDomain}${spiffeIdPrefix}`)

export const hasName = (bound: Bound | undefined, name: string): boolean => !bound || startsWith(name, bound.namePrefix)

export const hasAttestor = (bound: Bound | undefined, name: string): boolean => !bound || bound.attestors.includes(name)

/** Whether all workloads of an attestor lie within the bound. */
export const hasWholeAttestor = (
  bound: Bound | undefined,
  attestor: { name: string; spiffeIdPrefix: string },
): boolean =>
  hasAttestor(bound, attestor.name) &&
  (!bound || (bound.spiffeIdPrefix !== undefined && attestor.spiffeIdPrefix.startsWith(bound.spiffeIdPrefix)))

export const hasDatabase = (bound: Bound | undefined, name: string): boolean => !bound || bound.databases.includes(name)

export const hasAudience = (bound: Bound | undefined, audience: string): boolean =>
  !bound || bound.audiences.includes(audience)

export const hasDnsName = (bound: Bound | undefined, name: string): boolean =>
  !bound || isUnder(name, bound.dnsSuffixes)

/** Whether everything that `inner` permits, `outer` permits too. */
export function isWithin(inner: Bound | undefined, outer: Bound | undefined): boolean {
  if (!outer) return true
  if (!inner) return false
  const isPrefixWithin = (name: (typeof prefixes)[number]): boolean =>
    inner[name] === undefined || (outer[name] !== undefined && inner[name].startsWith(outer[name]))
  return (
    prefixes.every(isPrefixWithin) &&
    inner.attestors.every((name) => outer.attestors.includes(name)) &&
    inner.audiences.every((name) => outer.audiences.includes(name)) &&
    inner.databases.every((name) => outer.databases.includes(name)) &&
    inner.dnsSuffixes.every((suffix) => isUnder(suffix, outer.dnsSuffixes))
  )
}

/** What both permit. */
export function intersection(a: Bound | undefined, b: Bound | undefined): Bound | undefined {
  if (!a || !b) return a ?? b
  const common = (names: readonly string[], others: readonly string[]): string[] =>
    names.filter((name) => others.includes(name))
  const namesUnder = (names: readonly string[], suffixes: readonly string[]): string[] =>
    names.filter((name) => isUnder(name, suffixes))
  const bound: Bound = {
    attestors: common(a.attestors, b.attestors),
    audiences: common(a.audiences, b.audiences),
    databases: common(a.databases, b.databases),
    dnsSuffixes: [
      ...new Set([...namesUnder(a.dnsSuffixes, b.dnsSuffixes), ...namesUnder(b.dnsSuffixes, a.dnsSuffixes)]),
    ],
  }
  for (const name of prefixes) {
    const prefix = longer(a[name], b[name])
    if (prefix !== undefined) bound[name] = prefix
  }
  return bound
}

/** The prefix that lies within the other one; undefined where neither does. */
function longer(a: string | undefined, b: string | undefined): string | undefined {
  if (a === undefined || b === undefined) return undefined
  if (a.startsWith(b)) return a
  return b.startsWith(a) ? b : undefined
}
