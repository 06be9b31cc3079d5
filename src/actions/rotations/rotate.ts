/** Begins a rotation: to a value that the rotator of the policy makes, or that the operator supplies. */
import type { Change } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import { type Prepared, beginRotation, prepareValue } from '../../secrets/rotation/begin.ts'
import { type Plan, type Terms, newPlan, policyOf } from '../../secrets/rotation/policy.ts'
import type { SecretData } from '../../secrets/value.ts'
import type { Knex } from '../../store/database.ts'
import { type RotationPolicyRow, readPolicy } from '../../store/rotation-policies.ts'
import { findSecret } from '../../store/secrets.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { type Context, operatorName } from '../context.ts'
import { lockedSecret } from '../secrets/state.ts'
import { type RotationActionParts, type SecretRotation, readRotation, refusingFaults } from './state.ts'

type Input = {
  path: string
  data?: SecretData
  /** Ends a rotation that waits for consumers. */
  supersede?: boolean
  /** For this rotation, in place of the policy's. */
  terms: Partial<Pick<Terms, 'deadlineSeconds' | 'onDeadline'>>
}

function planFor({ data, terms }: Input, policy: RotationPolicyRow | undefined): Plan {
  if (!policy && !data) throw refuse('impossible', { detail: 'it has no policy to make a value by: send data' })
  const plan = newPlan(policy && policyOf(policy), terms)
  return data ? { ...plan, supplied: true } : plan
}

export function createRotate(parts: RotationActionParts) {
  /** Makes the value before the transaction. The change decides: it looks again, and for itself where nothing is prepared. */
  async function prepare({ time }: Context, input: Input): Promise<Prepared | undefined> {
    const secret = await findSecret(parts.db.knex, input.path)
    const policy = secret && (await readPolicy(parts.db.knex, secret.id))
    if (!policy || input.data) return undefined
    return refusingFaults(prepareValue(parts.db.knex, parts, secret, planFor(input, policy), time))
  }

  async function rotate(
    context: Context,
    tx: Knex.Transaction,
    snapshot: Snapshot,
    input: Input,
    prepared?: Prepared,
  ): Promise<Change<SecretRotation>> {
    const { data, supersede = false } = input
    const secret = await lockedSecret(tx, input.path)
    const plan = planFor(input, await readPolicy(tx, secret.id))
    const beginning = {
      secret,
      plan,
      supersede,
      requestedBy: operatorName(context),
      snapshot,
      now: context.time,
      ...(data && { data }),
      ...(prepared && { prepared }),
    }
    const { entry } = await refusingFaults(beginRotation(tx, parts, beginning))
    return { result: await readRotation(tx, parts, secret, snapshot, context.time), entry }
  }

  return { prepare, rotate }
}
