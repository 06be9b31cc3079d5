import { joinTokenKind } from '../../attest/attest.ts'
import { boundOf } from '../../authorize/caller.ts'
import { workloadOf } from '../../authorize/entries.ts'
import { rfc3339 } from '../../issue/lifetime.ts'
import { newToken } from '../../names/token.ts'
import { byName } from '../../store/registrations.ts'
import { insertJoinToken } from '../../store/tokens.ts'
import type { ChangeAction } from '../context.ts'
import { impossible } from '../registrations.ts'
import { checkOperatorGrant } from '../workloads/operator-grant.ts'
import { checkGrantsWithin } from '../workloads/state.ts'

const defaults = { lifetimeSeconds: 600, uses: 1 }

type JoinTokenSpec = { workload: string; lifetimeSeconds?: number; uses?: number }
type JoinToken = { id: string; token: string; workload: string; uses: number; expiresAt: string }

const at = '/workload'
const pointers = { role: at, routes: at, bound: at }

/** A join token attests a workload that has no orchestrator's token. It belongs to one entry. */
export const createJoinToken =
  ({ randomBytes }: { randomBytes: (size: number) => Buffer }): ChangeAction<JoinTokenSpec, JoinToken> =>
  async (context, tx, { workloads, attestors }, spec) => {
    const { time, caller } = context
    const { workload: name, lifetimeSeconds, uses } = { ...defaults, ...spec }
    const workload = byName(workloads, name)
    if (!workload) throw impossible('/workload', 'there is no workload entry of that name')
    if (attestors.get(workload.attestorId)?.kind !== joinTokenKind) {
      throw impossible('/workload', 'this entry is not of the attestor join, so no join token opens it')
    }
    checkGrantsWithin(workload, boundOf(caller), at)
    checkOperatorGrant(context, workloadOf(workload), pointers)
    const { token, id, hash } = newToken('join', randomBytes)
    const expires = new Date(time.getTime() + lifetimeSeconds * 1000)
    const expiresAt = rfc3339(expires)
    await insertJoinToken(tx, {
      id,
      hash,
      workloadId: workload.id,
      usesLeft: uses,
      createdAt: time,
      expiresAt: expires,
    })
    return {
      result: { id, token, workload: name, uses, expiresAt },
      entry: {
        resource: { kind: 'join-token', id },
        change: { after: { workload: name, workloadId: workload.id, uses, expiresAt } },
      },
    }
  }
