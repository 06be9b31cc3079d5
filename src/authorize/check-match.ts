/** Whom an entry is for: its match, and what a wide one must say of each thing that it takes any value of. */
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
  const wider = attestor.tooWide(match, definition.wide ?? false)
  return [
    // One at a time, so that each fault is told and not only the first.
    ...Object.entries(match).flatMap(([key, wanted]) => {
      const at = pointer('match', key)
      const broken = brokenRule(at, () => parseMatch({ [key]: wanted }, definition.wide ?? false))
      if (broken.length > 0) return broken
      return attestor.reports(key) ? [] : [impossible(at, 'this attestor never reports such a fact')]
    }),
    ...(wider === undefined ? [] : [tooWide('/match', wider)]),
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
      text.includes(`{${key}}`) ? [] : [tooWide(at, `must contain {${key}}, since the match takes any value of it`)]
    return [
      ...missing(spiffeId, '/spiffeId'),
      ...(grants?.secrets ?? []).flatMap(({ paths }, n) =>
        paths.flatMap((path, m) => missing(path, pointer('grants', 'secrets', n, 'paths', m))),
      ),
    ]
  })
}
