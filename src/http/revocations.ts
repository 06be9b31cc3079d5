/** `POST /api/v1/revocations`. */
import { type Revocation, revoke, valuesOf } from '../actions/revocations/revoke.ts'
import type { Found } from '../actions/revocations/find.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import { isReleasable } from '../store/blocks.ts'
import type { RevokedLease } from '../store/lease-ends.ts'
import type { BlockKind, BlockRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type IdempotencyParts, idempotent } from './idempotency.ts'
import { rendered } from './rendered.ts'
import { bodyOf, json } from './request.ts'
import type { ChangeState } from './route.ts'

export type RevocationParts = IdempotencyParts & { randomBytes: (size: number) => Buffer }

export function createRevocationRoutes(parts: RevocationParts): { create: ChangeState } {
  const create: ChangeState = async (request, tx, snapshot) => {
    const selection = bodyOf(request, 'createRevocation')
    const change = await revoke(tx, snapshot, selection, { now: request.time, randomBytes: parts.randomBytes })
    return rendered(change, (revocation) => json(showRevocation(revocation, snapshot), { status: 201 }))
  }
  return { create: idempotent(parts, create) }
}

function showRevocation({ id, found, blocks, sessions, leases }: Revocation, snapshot: Snapshot) {
  const count = (kind: BlockKind): number => valuesOf(blocks, kind).length
  const kind = blocks.find(isReleasable)?.kind
  return {
    id,
    revoked: {
      certificates: count('serialNumber'),
      jwts: count('jti'),
      sessions: sessions.length,
      accessTokens: count('accessToken'),
    },
    ...(kind && { blocks: kind }),
    leases: leases.map((lease) => showRevokedLease(lease, snapshot)),
    outOfReach: found.flatMap((part) => outOfReach(part, blocks)),
  }
}

/** Leases end within a second: jobs take their roles away. */
const showRevokedLease = ({ id, databaseId, username }: RevokedLease, { databases }: Snapshot) => ({
  id,
  database: databases.get(databaseId)?.name ?? databaseId,
  username,
})

/** Verifiers that never ask take it until it ends: JWTs anywhere, certificates where no CRL is read. */
function outOfReach(found: Found, blocks: readonly BlockRow[]): Record<string, string>[] {
  const fresh = new Set(blocks.map((block) => block.value))
  return [
    ...found.jwts.flatMap(({ jti, audience, until }) =>
      fresh.has(jti) ? audience.map((name) => ({ jwt: jti, audience: name, until: rfc3339(until) })) : [],
    ),
    ...found.certificates.flatMap(({ serialNumber, until }) =>
      fresh.has(serialNumber) ? [{ serialNumber, until: rfc3339(until) }] : [],
    ),
  ]
}
