/** Validates the grants of an entry: they parse, contain no name of Purser itself, and last no longer than the keys allow. */
import { isUnder, parseDnsName } from '../names/dns-name.ts'
import { type TemplateKind, keepsFactsApart, parseTemplate, templateKeys } from '../names/template.ts'
import { defaultLifetimes } from './entries.ts'
import type { AttestorRules, OwnRules } from './entry-rules.ts'
import type { WorkloadDefinition } from './grant.ts'
import { checkOperatorGrant } from './operator-grant.ts'
import { type EntryProblem, brokenRule, impossible, pointer } from './problems.ts'

type Grants = NonNullable<WorkloadDefinition['grants']>

/** The template parses, the attestor can report its facts, and different facts give different texts. */
const checkTemplate = (at: string, text: string, kind: TemplateKind, attestor: AttestorRules): EntryProblem[] => [
  ...checkFacts(at, text, kind, attestor),
  ...checkApart(at, text, kind),
]

/** The template parses, and the attestor can report its facts. An entry without that cannot be served. */
export function checkFacts(at: string, text: string, kind: TemplateKind, attestor: AttestorRules): EntryProblem[] {
  let keys: string[] = []
  const broken = brokenRule(at, () => (keys = templateKeys(parseTemplate(text, kind))))
  const unknown = keys.filter((key) => !attestor.reports(key))
  return [...broken, ...unknown.map((key) => impossible(at, `this attestor never reports the fact {${key}}`))]
}

/** Different facts give different texts. Entries that are older than this rule are served until their next write. */
export function checkApart(at: string, text: string, kind: TemplateKind): EntryProblem[] {
  let isInjective = true
  const broken = brokenRule(at, () => (isInjective = keepsFactsApart(parseTemplate(text, kind))))
  return broken.length > 0 || isInjective ? [] : [impossible(at, placeholderRules[kind])]
}

const wholeSegment = 'a placeholder must be a whole path segment, or different workloads can get the same name'
const placeholderRules: Readonly<Record<TemplateKind, string>> = {
  'spiffe-id': wholeSegment,
  'secret-pattern': wholeSegment,
  claim: 'a claim takes one placeholder, or different workloads can get the same claim: give each fact its own claim',
}

export function checkGrants(grants: Grants, attestor: AttestorRules, own: OwnRules): EntryProblem[] {
  const { x509, jwt, secrets } = grants
  return [
    ...checkDnsNames(x509?.dnsNames ?? [], own),
    ...checkLifetime('x509', x509, own.max.x509),
    ...checkAudiences(jwt?.audiences ?? [], attestor, own),
    ...checkLifetime('jwt', jwt, own.max.jwt),
    ...(secrets ?? []).flatMap(({ paths }, n) =>
      paths.flatMap((path, m) =>
        checkTemplate(pointer('grants', 'secrets', n, 'paths', m), path, 'secret-pattern', attestor),
      ),
    ),
    ...checkOperatorGrant(grants),
  ]
}

const checkDnsNames = (names: string[], own: OwnRules): EntryProblem[] =>
  names.flatMap((name, n) => {
    const at = pointer('grants', 'x509', 'dnsNames', n)
    if (own.names.has(name)) return [impossible(at, 'is a host name of Purser itself')]
    const broken = brokenRule(at, () => parseDnsName(name))
    if (broken.length > 0 || !own.dnsSuffixes || isUnder(name, own.dnsSuffixes)) return broken
    return [impossible(at, 'is under none of the DNS suffixes of the CA (PURSER_CA_DNS_SUFFIXES)')]
  })

/** The default applies if it is left out. The limit of a server may be lower than the default. */
function checkLifetime(
  kind: keyof typeof defaultLifetimes,
  grant: { maxLifetimeSeconds?: number } | undefined,
  max: number,
): EntryProblem[] {
  if (!grant || (grant.maxLifetimeSeconds ?? defaultLifetimes[kind]) <= max) return []
  const detail = `must be at most ${max}, the longest that this server's keys sign for`
  return [impossible(pointer('grants', kind, 'maxLifetimeSeconds'), detail)]
}

function checkAudiences(
  audiences: NonNullable<Grants['jwt']>['audiences'],
  attestor: AttestorRules,
  own: OwnRules,
): EntryProblem[] {
  const seen = new Set<string>()
  return audiences.flatMap((grant, n) => {
    const { audience, claims } = typeof grant === 'string' ? { audience: grant, claims: {} } : { claims: {}, ...grant }
    const at = pointer('grants', 'jwt', 'audiences', n)
    const twice = seen.has(audience) ? [impossible(at, 'is granted twice')] : []
    seen.add(audience)
    return [
      ...twice,
      ...(own.audiences.has(audience) ? [impossible(at, 'is an audience of Purser itself')] : []),
      ...Object.entries(claims).flatMap(([name, text]) => {
        const inside = pointer('grants', 'jwt', 'audiences', n, 'claims', name)
        if (own.claims.has(name)) return [impossible(inside, 'is a claim that Purser sets itself')]
        return checkTemplate(inside, text, 'claim', attestor)
      }),
    ]
  })
}
