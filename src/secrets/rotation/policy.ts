/** The rotation policy of a secret, and the plan that one rotation runs by. */
import type { Problem } from '../../errors.ts'
import type { Knex } from '../../store/database.ts'
import { type RotationPolicyRow, otherPolicies } from '../../store/rotation-policies.ts'
import type { RotationRow } from '../../store/rotations.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { RotatorConfig, Rotators } from '../rotators/rotator.ts'
import { type Schedule, checkSchedule } from './schedule.ts'

/** What happens at the deadline to versions that consumers still hold. */
type OnDeadline = 'retire' | 'hold' | 'alert'

/** How a rotation waits for its consumers. */
export type Terms = {
  /** Counts from when the new version becomes live. */
  deadlineSeconds: number
  onDeadline: OnDeadline
  /** A consumer has moved when it has fetched the new version, or acknowledged it. */
  moved: 'fetched' | 'acknowledged'
  /** Allows a rotation while a live consumer holds the version before the live one. */
  allowOverlap: boolean
}

export type Policy = Partial<Terms> & { rotator: RotatorConfig; schedule?: Schedule; managedBy?: string }

/** Why the versions before are retired. */
export type Why = 'moved' | 'deadline' | 'operator'

/** The plan of one rotation, fixed when it begins except for its progress. */
export type Plan = Terms & {
  rotator: RotatorConfig
  /** The value is that of an earlier version. */
  rollbackTo?: number
  /** Versions with that same value: their holders hold the new one. */
  alike?: number[]
  supplied?: true
  /** Cancelled after attempts that may have set the value: the live one is set again, then the rotation has failed. */
  undoing?: true
  /** The versions before are being retired. */
  retiring?: { why: Why; holders: string[] }
  /** The deadline has passed with `alert`, and is recorded. */
  alerted?: true
}

const defaultTerms: Terms = {
  deadlineSeconds: 7 * 86_400,
  onDeadline: 'retire',
  moved: 'fetched',
  allowOverlap: false,
}

/** A scheduled rotation is overdue when it is this late: something prevents it. */
export const lateMs = 60_000

/** For secrets without a policy, whose values operators supply. */
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

/** The plan of a new rotation. `own` terms override the policy's. */
export function newPlan(policy: Policy | undefined, own: Partial<Terms> = {}): Plan {
  const { rotator = suppliedOnly, schedule: _, managedBy: __, ...terms } = policy ?? {}
  return { ...defaultTerms, ...terms, ...own, rotator }
}

const withPrefix = (prefix: string, problems: readonly Problem[]): Problem[] =>
  problems.map(({ pointer, detail }) => ({ pointer: `${prefix}${pointer}`, detail }))

export function checkPolicy(policy: Policy, rotators: Rotators, snapshot: Snapshot, now: Date): Problem[] {
  const rotator = rotators.get(policy.rotator.kind)
  if (!rotator) return [{ pointer: '/rotator/kind', detail: 'is no kind of rotator that this server has' }]
  return [
    ...withPrefix('/rotator', rotator.check(policy.rotator, snapshot)),
    ...(policy.schedule ? withPrefix('/schedule', checkSchedule(policy.schedule, now)) : []),
  ]
}

type ClaimQuery = { rotators: Rotators; snapshot: Snapshot; kind: string; secretId?: string }

/** Maps each claim of a rotator kind to the path of the secret whose policy makes it; one secret's own policy is left out. */
export async function claimants(
  knex: Knex,
  { rotators, snapshot, kind, secretId }: ClaimQuery,
): Promise<ReadonlyMap<string, string>> {
  const claims = rotators.get(kind)?.claims
  if (!claims) return new Map()
  const others = await otherPolicies(knex, kind, secretId)
  return new Map(
    others.flatMap((row) => claims(policyOf(row).rotator, snapshot).map(({ name }) => [name, row.path] as const)),
  )
}

/**
 * The claims of a policy that another secret's policy makes too.
 * @param mayKnow whether the caller may know of a path
 */
export async function claimedElsewhere(
  knex: Knex,
  { rotators, snapshot, mayKnow }: Pick<ClaimQuery, 'rotators' | 'snapshot'> & { mayKnow: (path: string) => boolean },
  { secretId, rotator }: { secretId: string; rotator: RotatorConfig },
): Promise<Problem[]> {
  const claimed = rotators.get(rotator.kind)?.claims?.(rotator, snapshot) ?? []
  if (claimed.length === 0) return []
  const others = await claimants(knex, { rotators, snapshot, kind: rotator.kind, secretId })
  return claimed.flatMap(({ pointer, name }) => {
    const path = others.get(name)
    return path === undefined
      ? []
      : [
          {
            pointer: `/rotator${pointer}`,
            detail: `is changed by the policy of ${mayKnow(path) ? path : 'another secret'} already`,
          },
        ]
  })
}
