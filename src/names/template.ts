/**
 * Templates insert verified facts into SPIFFE IDs, secret path patterns and JWT claims: `…/ns/{k8s:ns}`. They have no
 * functions, defaults or escapes. A fact must be exactly one plain segment (CVE-2021-27099, GHSA-59w7-v8rr-pr4p), and the
 * parser of the kind checks the rendered text.
 */
import { NameError } from './errors.ts'
import { isPathSegment, parsePathPattern } from './secret-path.ts'
import { type Selectors, selectorValue, isSelectorKey, isSelectorValue } from './selectors.ts'
import { isSpiffeSegment, parseSpiffeId } from './spiffe-id.ts'

/** The result of a template: a whole SPIFFE ID, a whole secret path pattern, or the string of a claim. */
export type TemplateKind = 'spiffe-id' | 'secret-pattern' | 'claim'

export type Template = {
  kind: TemplateKind
  text: string
  /** Literal texts at even indexes, selector keys at odd ones. */
  parts: readonly string[]
}

const maxTemplateLength = 2048
const maxPlaceholders = 16
const maxClaimLength = 1024

type Rule = { plain: (fact: string) => boolean; check: (whole: string) => void }

const rules: Record<TemplateKind, Rule> = {
  'spiffe-id': { plain: isSpiffeSegment, check: (whole) => void parseSpiffeId(whole) },
  'secret-pattern': { plain: isPathSegment, check: (whole) => void parsePathPattern(whole) },
  claim: { plain: isSelectorValue, check: checkClaim },
}

/**
 * Parses a template, and validates its result for plain facts.
 * @throws NameError `bad_template`, or the code of the kind's own parser
 */
export function parseTemplate(text: string, kind: TemplateKind): Template {
  if (text.length > maxTemplateLength) throw new NameError('bad_template', 'a template is at most 2048 characters long')
  const parts = text.split(/\{([^{}]*)\}/)
  if (parts.some((part, index) => index % 2 === 0 && /[{}]/.test(part)))
    throw new NameError('bad_template', 'braces stand around the key of a selector, and nowhere else')
  if (parts.length > 2 * maxPlaceholders) throw new NameError('bad_template', 'at most 16 placeholders')
  const template = { kind, text, parts }
  if (!templateKeys(template).every(isSelectorKey))
    throw new NameError('bad_template', 'a placeholder is the key of a selector in braces')
  // With a placeholder there, a workload could choose its trust domain.
  if (kind === 'spiffe-id' && parts.length > 1 && !/^spiffe:\/\/[^/]+\//.test(parts[0] ?? ''))
    throw new NameError('bad_template', 'placeholders stand in the path of a SPIFFE ID only')
  rules[kind].check(fill(parts, () => 'x'))
  return template
}

/** The distinct selector keys of a template. */
export function templateKeys(template: Template): string[] {
  return [...new Set(template.parts.filter((_, index) => index % 2 === 1))]
}

/**
 * Whether different facts always give different texts. In a path, each placeholder must be a whole segment: otherwise
 * `{k8s:ns}-{k8s:sa}` gives the same text for `a` and `b-c` as for `a-b` and `c`. A claim may have one placeholder only.
 */
export function keepsFactsApart({ kind, parts }: Template): boolean {
  if (kind === 'claim') return parts.length <= 3
  const segments = fill(parts, () => '{}').split('/')
  return segments.every((segment) => segment === '{}' || !segment.includes('{}'))
}

/**
 * Inserts the facts.
 * @throws NameError `fact_missing`, `fact_has_many_values`, `fact_not_plain`, or the code of the kind's own parser
 */
export function render(template: Template, selectors: Selectors): string {
  const { plain, check } = rules[template.kind]
  const whole = fill(template.parts, (key) => {
    const fact = selectorValue(selectors, key)
    if (fact === undefined) throw new NameError('fact_missing', 'the attestor verified no such fact', key)
    if (typeof fact !== 'string') throw new NameError('fact_has_many_values', 'the fact has more than one value', key)
    if (!plain(fact)) throw new NameError('fact_not_plain', 'the fact is not one plain segment', key)
    return fact
  })
  check(whole)
  return whole
}

function fill(parts: readonly string[], value: (key: string) => string): string {
  return parts.map((part, index) => (index % 2 === 0 ? part : value(part))).join('')
}

function checkClaim(whole: string): void {
  if (Buffer.byteLength(whole) > maxClaimLength || (whole !== '' && !isSelectorValue(whole)))
    throw new NameError('bad_template', 'a claim is at most 1024 bytes without control characters')
}
