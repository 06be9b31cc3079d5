/**
 * Whether a workload entry can be kept: judged whole when it is written, so that issuing never meets one that breaks a
 * rule. Pure; what the rules are drawn from (configuration, the attestor's kind) comes in as arguments.
 */
import type { Problem } from '../errors.ts'
import { isReservedPath, parseSpiffeId, reservedPrefix } from '../names/spiffe-id.ts'
import { checkApart, checkFacts, checkGrants } from './check-grants.ts'
import { checkMatch } from './check-match.ts'
import type { AttestorRules, OwnRules } from './entry-rules.ts'
import type { WorkloadDefinition } from './grant.ts'
import { type EntryProblem, impossible } from './problems.ts'

/** @returns everything that is wrong, with pointers into the entry; empty when it can be kept */
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

/** As many as openapi.yaml lets a problem hold. */
const maxProblems = 20

/**
 * The literal beginning alone must lie under the prefix: what a fact fills in never decides where an ID belongs.
 * The rendered one is held against the prefix again before signing (decide.ts).
 */
export function checkSpiffeId(text: string, attestor: AttestorRules, trustDomain: string): EntryProblem[] {
  const at = '/spiffeId'
  const broken = checkFacts(at, text, 'spiffe-id', attestor)
  if (broken.length > 0) return broken
  const id = parseSpiffeId(text.replaceAll(/\{[^{}]*\}/g, 'x'))
  if (id.trustDomain !== trustDomain) return [impossible(at, `must be of the trust domain ${trustDomain}`)]
  if (isReservedPath(id.path)) return [impossible(at, `${reservedPrefix} is Purser's own`)]
  const beginning = `spiffe://${trustDomain}${attestor.spiffeIdPrefix}`
  if (!text.startsWith(beginning)) {
    return [impossible(at, `must begin with ${beginning}, which is what the attestor vouches for`)]
  }
  return []
}
