/** `grants.operator` of a workload entry: as which operator its workloads act. */
import type { Problem } from '../errors.ts'
import { boundFaults, readBound } from '../names/bound.ts'
import type { OperatorGrant, WorkloadDefinition } from './grant.ts'
import { type EntryProblem, impossible, pointer } from './problems.ts'

type Grants = NonNullable<WorkloadDefinition['grants']>

/** Undefined for a grant without a bound, which an earlier version stored: an upgrade activates none. */
export function readOperatorGrant({ operator }: Grants): OperatorGrant | undefined {
  if (operator?.bound === undefined) return undefined
  const { role, bound, routes } = operator
  return {
    role,
    ...(bound !== 'everything' && { bound: readBound(bound) }),
    ...(routes && { routes: [...new Set(routes)].sort() }),
  }
}

/** Whether the entry has a grant of an earlier version. */
export const hasIdleOperatorGrant = ({ operator }: Grants): boolean => operator !== undefined && !operator.bound

const earlierMembers = ['paths', 'attestors'] as const

/** A grant without effect is refused when it is written, so that its author learns of it. */
export function checkOperatorGrant({ operator }: Grants): EntryProblem[] {
  if (!operator) return []
  const at = (...steps: (string | number)[]): string => pointer('grants', 'operator', ...steps)
  const earlier = earlierMembers
    .filter((member) => operator[member] !== undefined)
    .map((member) => impossible(at(member), 'has no effect: state what the workload may reach as `bound`'))
  if (operator.bound === undefined) {
    return [impossible(at(), 'has no effect without `bound`: add one, or remove the grant'), ...earlier]
  }
  const faults = operator.bound === 'everything' ? [] : boundFaults(operator.bound)
  return [
    ...earlier,
    ...faults.map(({ member, index, detail }) =>
      impossible(at('bound', member, ...(index === undefined ? [] : [index])), detail),
    ),
  ]
}

/** Pointers into the entry. */
export const operatorGrantPointers = {
  role: '/grants/operator/role',
  routes: '/grants/operator/routes',
  bound: '/grants/operator/bound',
} as const satisfies Record<string, Problem['pointer']>
