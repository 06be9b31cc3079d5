/** What an operator says about the rotation of a secret, and what one rotation runs by. */
import type { Problem } from '../../errors.ts'
import type { RotationPolicyRow } from '../../store/rotation-policies.ts'
import type { RotationRow } from '../../store/rotations.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { RotatorConfig, Rotators } from '../rotators/rotator.ts'
import { type Schedule, checkSchedule } from './schedule.ts'

/** What happens at the deadline with the versions that some consumer still holds. */
type OnDeadline = 'retire' | 'hold' | 'alert'

/** How a rotation waits for its consumers. */
export type Terms = {
  /** From the moment that the new version is the live one. */
  deadlineSeconds: number
  onDeadline: OnDeadline
  /** A consumer has moved when it fetched the new version, or said that it uses it. */
  moved: 'fetched' | 'acknowledged'
  /** Begins also while a live consumer holds the version before the live one. */
  allowOverlap: boolean
}

export type Policy = Partial<Terms> & { rotator: RotatorConfig; schedule?: Schedule }

/** Why the versions before are ended. */
export type Why = 'moved' | 'deadline' | 'operator'

/** What one rotation runs by, fixed at its beginning but for what happens to it. */
export type Plan = Terms & {
  rotator: RotatorConfig
  /** The value is that of an earlier version. */
  rollbackTo?: number
  /** Versions of that same value: who holds one holds the new one. */
  alike?: number[]
  supplied?: true
  /** Cancelled after attempts that may have set the value: the live one is set again, then it has failed. */
  undoing?: true
  /** The versions before are being ended. */
  retiring?: { why: Why; holders: string[] }
  /** The deadline passed with `alert`, and the log says so. */
  alerted?: true
}

const defaultTerms: Terms = {
  deadlineSeconds: 7 * 86_400,
  onDeadline: 'retire',
  moved: 'fetched',
  allowOverlap: false,
}

/** What its schedule should have begun so long ago is overdue: something stands in its way. */
export const lateMs = 60_000

/** For a secret without a policy, whose values are supplied. */
const suppliedOnly: RotatorConfig = { kind: 'generated' }

const isPolicy = (value: Record<string, unknown>): value is Policy => typeof value['rotator'] === 'object'
const isPlan = (value: Record<string, unknown>): value is Plan => 'onDeadline' in value && isPolicy(value)

export function policyOf(row: Pick<RotationPolicyRow, 'definition'>): Policy {
  if (isPolicy(row.definition)) return row.definition
  throw new Error('the definition of a policy is not one')
}

export function planOf(row: Pick<RotationRow, 'definition'>): Plan {
  if (isPlan(row.definition)) return row.definition
  throw new Error('the definition of a rotation is not one')
}

/** The terms of a rotation that begins now; what the operator says for this one comes first. */
export function newPlan(policy: Policy | undefined, own: Partial<Terms> = {}): Plan {
  const { rotator = suppliedOnly, schedule: _, ...terms } = policy ?? {}
  return { ...defaultTerms, ...terms, ...own, rotator }
}

const under = (prefix: string, problems: readonly Problem[]): Problem[] =>
  problems.map(({ pointer, detail }) => ({ pointer: `${prefix}${pointer}`, detail }))

export function checkPolicy(policy: Policy, rotators: Rotators, snapshot: Snapshot, now: Date): Problem[] {
  const rotator = rotators.get(policy.rotator.kind)
  if (!rotator) return [{ pointer: '/rotator/kind', detail: 'is no kind of rotator that this server has' }]
  return [
    ...under('/rotator', rotator.check(policy.rotator, snapshot)),
    ...(policy.schedule ? under('/schedule', checkSchedule(policy.schedule, now)) : []),
  ]
}
