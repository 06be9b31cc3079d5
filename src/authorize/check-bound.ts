/** Whether what an entry grants lies within the bound of the operator who writes it, or who wrote it. */
import type { Problem } from '../errors.ts'
import {
  type Bound,
  hasAudience,
  hasDatabase,
  hasDnsName,
  hasSecretPath,
  hasSpiffeId,
  isWithin,
} from '../names/bound.ts'
import type { Grant, WorkloadDefinition } from './grant.ts'
import { operatorGrantPointers, readOperatorGrant } from './operator-grant.ts'
import { pointer } from './problems.ts'

const detail = 'is outside the bound of your token'

/** By the literal beginnings of templates, so that no fact of a workload leads outside. */
export function outsideBound({ spiffeId, grants = {} }: WorkloadDefinition, bound: Bound | undefined): Problem[] {
  if (!bound) return []
  const { x509, jwt, secrets, databases } = grants
  const operator = readOperatorGrant(grants)
  const pointers = [
    ...(hasSpiffeId(bound, spiffeId) ? [] : ['/spiffeId']),
    ...(x509?.dnsNames ?? []).flatMap((name, n) =>
      hasDnsName(bound, name) ? [] : [pointer('grants', 'x509', 'dnsNames', n)],
    ),
    ...(jwt?.audiences ?? []).flatMap((audience, n) =>
      hasAudience(bound, typeof audience === 'string' ? audience : audience.audience)
        ? []
        : [pointer('grants', 'jwt', 'audiences', n)],
    ),
    ...(secrets ?? []).flatMap(({ paths }, n) =>
      paths.flatMap((path, m) => (hasSecretPath(bound, path) ? [] : [pointer('grants', 'secrets', n, 'paths', m)])),
    ),
    ...(databases ?? []).flatMap((name, n) => (hasDatabase(bound, name) ? [] : [pointer('grants', 'databases', n)])),
    ...(!operator || isWithin(operator.bound, bound) ? [] : [operatorGrantPointers.bound]),
  ]
  return pointers.map((at) => ({ pointer: at, detail }))
}

/** Judged again at each issuance, with all templates rendered. */
export const isGrantWithin = ({ spiffeId, x509, jwt, secrets, databases, operator }: Grant, bound: Bound): boolean =>
  hasSpiffeId(bound, spiffeId) &&
  (x509?.dnsNames ?? []).every((name) => hasDnsName(bound, name)) &&
  (jwt?.audiences ?? []).every(({ audience }) => hasAudience(bound, audience)) &&
  secrets.every(({ patterns }) => patterns.every(({ text }) => hasSecretPath(bound, text))) &&
  databases.every((name) => hasDatabase(bound, name)) &&
  (!operator || isWithin(operator.bound, bound))
