/**
 * Validates a workload entry when it is written, so that issuing never reads an invalid one. Pure: the configuration and the
 * rules of the attestor are arguments.
 */
import type { Problem } from '../errors.ts'
import { isReservedPath, parseSpiffeId, reservedPrefix } from '../names/spiffe-id.ts'
import { checkApart, checkFacts, checkGrants } from './check-grants.ts'
import { checkMatch } from './check-match.ts'
import type { AttestorRules, OwnRules } from './entry-rules.ts'
import type { WorkloadDefinition } from './grant.ts'
import { type EntryProblem, impossible } from './problems.ts'

/** @returns all problems, with pointers into the entry; undefined for a valid entry */
export function checkWorkload(
  definition: WorkloadDefinition,
  attestor: AttestorRules,
  own: OwnRules,
): { code: EntryProblem['code']; errors: Problem[] } | undefined {
  const problems = [
    ...checkMatch(definition, attestor),
    ...checkSpiffeId(definition.spiffeId, attestor, own.trustDomain),
    ...checkApart('/spiffeId', definition.spiffeId, 'spiffe-id'),
    ...checkGrants(definition.grants ?? {}, attestor, own),
  ]
  if (problems.length === 0) return undefined
  const code = problems.every((problem) => problem.code === 'match_too_wide') ? 'match_too_wide' : 'impossible'
  return { code, errors: problems.slice(0, maxProblems).map(({ pointer, detail }) => ({ pointer, detail })) }
}

/** The limit in openapi.yaml. */
const maxProblems = 20

/**
 * The literal beginning of the template must lie under the attestor's prefix, so that no fact decides where an ID belongs.
 * The rendered ID is checked against the prefix again before signing (decide.ts).
 */
export function checkSpiffeId(text: string, attestor: AttestorRules, trustDomain: string): EntryProblem[] {
  const at = '/spiffeId'
  const problems = checkFacts(at, text, 'spiffe-id', attestor)
  if (problems.length > 0) return problems
  const id = parseSpiffeId(text.replaceAll(/\{[^{}]*\}/g, 'x'))
  if (id.trustDomain !== trustDomain) return [impossible(at, `must be of the trust domain ${trustDomain}`)]
  if (isReservedPath(id.path)) return [impossible(at, `${reservedPrefix} is Purser's own`)]
  const beginning = `spiffe://${trustDomain}${attestor.spiffeIdPrefix}`
  if (!text.startsWith(beginning)) {
    return [impossible(at, `must begin with ${beginning}, which is what the attestor vouches for`)]
  }
  return []
}
