/** Validates the match of an entry. A wide entry must state each selector of which it accepts any value. */
import { parseMatch, wildKeys } from '../names/selectors.ts'
import type { AttestorRules } from './entry-rules.ts'
import type { WorkloadDefinition } from './grant.ts'
import { type EntryProblem, brokenRule, impossible, pointer, tooWide } from './problems.ts'

export function checkMatch(definition: WorkloadDefinition, attestor: AttestorRules): EntryProblem[] {
  const { match } = definition
  if (attestor.matches === 'token') {
    return match ? [impossible('/match', 'is left out here: a join token belongs to one entry')] : []
  }
  if (!match || Object.keys(match).length === 0) return [tooWide('/match', 'is required for this attestor')]
  const missing = attestor.tooWide(match, definition.wide ?? false)
  return [
    // Each condition by itself, so that all faults are reported and not only the first.
    ...Object.entries(match).flatMap(([key, condition]) => {
      const at = pointer('match', key)
      const broken = brokenRule(at, () => parseMatch({ [key]: condition }, definition.wide ?? false))
      if (broken.length > 0) return broken
      return attestor.reports(key) ? [] : [impossible(at, 'this attestor never reports such a fact')]
    }),
    ...(missing === undefined ? [] : [tooWide('/match', missing)]),
    ...checkWide(definition),
  ]
}

/**
 * A selector that matches any value must appear in the SPIFFE ID and in every secret path (docs/architecture.md,
 * Authorization).
 */
function checkWide({ match, spiffeId, grants }: WorkloadDefinition): EntryProblem[] {
  return wildKeys(match ?? {}).flatMap((key) => {
    const missing = (text: string, at: string): EntryProblem[] =>
      text.includes(`{${key}}`) ? [] : [tooWide(at, `must contain {${key}}, since the match accepts any value of it`)]
    return [
      ...missing(spiffeId, '/spiffeId'),
      ...(grants?.secrets ?? []).flatMap(({ paths }, n) =>
        paths.flatMap((path, m) => missing(path, pointer('grants', 'secrets', n, 'paths', m))),
      ),
    ]
  })
}
