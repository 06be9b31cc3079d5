/** Sets the rotation policy of a secret. */
import { boundOf } from '../../authorize/caller.ts'
import { refuse } from '../../errors.ts'
import { hasSecretPath } from '../../names/bound.ts'
import { changedSecret, secretRevision } from '../../secrets/entry.ts'
import { type Policy, checkPolicy, claimedElsewhere, policyOf } from '../../secrets/rotation/policy.ts'
import { nextRun } from '../../secrets/rotation/schedule.ts'
import { readPolicy, writePolicy } from '../../store/rotation-policies.ts'
import { wholeOf } from '../../store/snapshot.ts'
import { updateSecret } from '../../store/secrets.ts'
import { type ChangeAction, checkReason, checkRevision } from '../context.ts'
import { lockedSecret } from '../secrets/state.ts'
import { type RotationActionParts, type SecretRotation, readRotation } from './state.ts'

/** `expected`: the revision of the policy that the caller read, 0 for a new one. */
type Input = { path: string; expected: number; policy: Policy }

const recipientReason = 'must say why values of this secret are sent there: it goes into the log'

export const createPutPolicy =
  (parts: RotationActionParts): ChangeAction<Input, SecretRotation & { isNew: boolean }> =>
  async (context, tx, snapshot, { path, expected, policy }) => {
    const { rotators, randomBytes } = parts
    const { time } = context
    const secret = await lockedSecret(tx, path)
    const old = await readPolicy(tx, secret.id)
    checkRevision(expected, old?.revision ?? 0)
    const errors = [
      ...checkPolicy(policy, rotators, snapshot, time),
      ...(await claimedElsewhere(
        tx,
        { rotators, snapshot: wholeOf(snapshot), mayKnow: (other) => hasSecretPath(boundOf(context.caller), other) },
        { secretId: secret.id, rotator: policy.rotator },
      )),
    ]
    if (errors.length > 0) throw refuse('impossible', { errors })
    const recipientOf = ({ rotator }: Policy): string | undefined => rotators.get(rotator.kind)?.recipient?.(rotator)
    const recipient = recipientOf(policy)
    if (recipient !== undefined && recipient !== (old && recipientOf(policyOf(old))))
      checkReason(context, recipientReason)

    const { schedule } = policy
    // Another deadline must not leave out a rotation that is due.
    const isSameSchedule = old && JSON.stringify(policyOf(old).schedule) === JSON.stringify(schedule)
    const nextAt = isSameSchedule ? old.nextAt : schedule && nextRun(schedule, time, randomBytes)
    const revision = (old?.revision ?? 0) + 1
    await writePolicy(tx, { secretId: secret.id, definition: policy, revision, ...(nextAt && { nextAt }) }, time)
    const row = { ...secret, rotator: policy.rotator.kind, revision: secret.revision + 1, updatedAt: time }
    await updateSecret(tx, row)
    return {
      result: { ...(await readRotation(tx, parts, row, snapshot, time)), isNew: !old },
      entry: { resource: secretRevision(row), change: { after: { revision, policy } } },
      changed: changedSecret(row),
    }
  }
