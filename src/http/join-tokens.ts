/** Join tokens: how a workload without an orchestrator's token is attested. One belongs to one entry. */
import { joinTokenKind } from '../attest/attest.ts'
import { refuse } from '../errors.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import { newToken } from '../names/token.ts'
import { insertJoinToken } from '../store/join-tokens.ts'
import { byName } from '../store/registrations.ts'
import { type IdempotencyParts, idempotent } from './idempotency.ts'
import { bodyOf, json } from './request.ts'
import type { ChangeState } from './route.ts'

export type JoinTokenParts = IdempotencyParts & { randomBytes: (size: number) => Buffer }

const defaults = { lifetimeSeconds: 600, uses: 1 }

export function createJoinToken(parts: JoinTokenParts): ChangeState {
  const { randomBytes } = parts
  return idempotent(parts, async (request, tx, snapshot) => {
    const { workload: name, lifetimeSeconds, uses } = { ...defaults, ...bodyOf(request, 'createJoinToken') }
    const workload = byName(snapshot.workloads, name)
    const kind = workload && snapshot.attestors.get(workload.attestorId)?.kind
    if (!workload) throw impossible('there is no workload entry of that name')
    if (kind !== joinTokenKind) throw impossible('this entry is not of the attestor join, so no join token opens it')

    const { token, id, hash } = newToken('join', randomBytes)
    const expires = new Date(request.time.getTime() + lifetimeSeconds * 1000)
    const expiresAt = rfc3339(expires)
    await insertJoinToken(tx, { id, hash, workloadId: workload.id, uses, createdAt: request.time, expiresAt: expires })
    return {
      result: json({ id, token, workload: name, uses, expiresAt }, { status: 201 }),
      entry: {
        resource: { kind: 'join-token', id },
        change: { after: { workload: name, workloadId: workload.id, uses, expiresAt } },
      },
    }
  })
}

const impossible = (detail: string): Error => refuse('impossible', { errors: [{ pointer: '/workload', detail }] })
