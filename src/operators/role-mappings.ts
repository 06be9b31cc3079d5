/** Maps the claims of an ID token to the name and the role of an operator. */
import { operatorNameProblem } from '../names/operator-name.ts'
import type { Role } from '../store/rows.ts'

export type RoleMapping = { readonly role: Role; readonly claim: string; readonly value: string }

export type MappingRules = { issuer: string; nameClaim: string; mappings: readonly RoleMapping[] }

/** What a session was created by: it is accepted only as long as the rules have it. */
const mappingName = ({ issuer }: Pick<MappingRules, 'issuer'>, { role, claim, value }: RoleMapping): string =>
  `${role}:${claim}=${value} at ${issuer}`

export const hasMapping = (rules: MappingRules | undefined, name: string): boolean =>
  rules?.mappings.some((mapping) => mappingName(rules, mapping) === name) ?? false

type Mapped = { name: string; role: Role; by: string }

/** @returns the operator, or why the claims give none */
export function mapClaims(claims: Record<string, unknown>, rules: MappingRules): Mapped | { fault: string } {
  const { nameClaim, mappings } = rules
  const name = claims[nameClaim]
  if (typeof name !== 'string' || operatorNameProblem(name) !== undefined)
    return { fault: `the claim ${nameClaim} is not the name of an operator` }
  const mapping = mappings.find(({ claim, value }) => valuesOf(claims, claim).includes(value))
  if (!mapping) return { fault: 'no claim is mapped to a role' }
  return { name, role: mapping.role, by: mappingName(rules, mapping) }
}

function valuesOf(claims: Record<string, unknown>, claim: string): unknown[] {
  const value = Object.hasOwn(claims, claim) ? claims[claim] : undefined
  return Array.isArray(value) ? value : [value]
}
