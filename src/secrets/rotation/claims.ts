/** What only one policy may change: a role has one password, and two policies would each end the other's. */
import type { Problem } from '../../errors.ts'
import type { Knex } from '../../store/database.ts'
import { otherPolicies } from '../../store/rotation-policies.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { RotatorConfig, Rotators } from '../rotators/rotator.ts'
import { policyOf } from './policy.ts'

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

/** The claims of a policy that another secret's policy makes too. */
export async function claimedElsewhere(
  knex: Knex,
  { rotators, snapshot }: Pick<ClaimQuery, 'rotators' | 'snapshot'>,
  { secretId, rotator }: { secretId: string; rotator: RotatorConfig },
): Promise<Problem[]> {
  const claimed = rotators.get(rotator.kind)?.claims?.(rotator, snapshot) ?? []
  if (claimed.length === 0) return []
  const others = await claimants(knex, { rotators, snapshot, kind: rotator.kind, secretId })
  return claimed.flatMap(({ pointer, name }) => {
    const path = others.get(name)
    return path === undefined
      ? []
      : [{ pointer: `/rotator${pointer}`, detail: `is changed by the policy of ${path} already` }]
  })
}
