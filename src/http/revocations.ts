/** Revocations: create, list the blocks in force, release. */
import { blockedCaller } from '../actions/revocations/release.ts'
import type { Coverage } from '../actions/revocations/find.ts'
import type { Actions } from '../actions/actions.ts'
import { type Revocation, blockedKind, valuesOf } from '../actions/revocations/revoke.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import type { BlockInForce } from '../store/blocks.ts'
import type { RevokedLease } from '../store/lease-ends.ts'
import type { BlockKind, BlockRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { idempotent } from './idempotency.ts'
import { type ListParts, createPages } from './lists.ts'
import { idOf } from './params.ts'
import { rendered } from './rendered.ts'
import { bodyOf, json } from './request.ts'
import type { ChangeState, Read } from './route-kinds.ts'

export function createRevocationRoutes(
  parts: ListParts & { actions: Pick<Actions, 'revocations'> },
): { list: Read } & Record<'create' | 'release', ChangeState> {
  const { revocations } = parts.actions
  const page = createPages(parts)
  return {
    create: idempotent(parts, async (request, tx, snapshot) => {
      const change = await revocations.create(request, tx, snapshot, bodyOf(request, 'createRevocation'))
      return rendered(change, (revocation) => json(showRevocation(revocation, snapshot), { status: 201 }))
    }),

    async list(request, snapshot) {
      const rows = await revocations.list(request)
      return page(request, snapshot, { list: 'revocations', rows, keyOf: (block) => block.id, show: showBlock })
    },

    release: async (request, tx) =>
      rendered(await revocations.release(request, tx, idOf(request)), (released) => json(released)),
  }
}

const showBlock = ({ revocation, since, reason, ...block }: BlockInForce) => ({
  id: revocation,
  ...blockedCaller(block),
  since: rfc3339(since),
  ...(reason !== undefined && { reason }),
})

function showRevocation({ id, coverage, blocks, sessions, leases }: Revocation, snapshot: Snapshot) {
  const count = (kind: BlockKind): number => valuesOf(blocks, kind).length
  const kind = blockedKind(blocks)
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
    outOfReach: coverage.flatMap((part) => outOfReach(part, blocks)),
  }
}

/** A job drops the role of a revoked lease within a second. */
const showRevokedLease = ({ id, databaseId, username }: RevokedLease, { databases }: Snapshot) => ({
  id,
  database: databases.get(databaseId)?.name ?? databaseId,
  username,
})

/** Revoked credentials that some verifiers accept until they expire: JWTs, and certificates where no CRL is read. */
function outOfReach({ credentials }: Coverage, blocks: readonly BlockRow[]): Record<string, string>[] {
  const blocked = new Set(blocks.map((block) => block.value))
  const revoked = credentials.filter(({ id }) => blocked.has(id))
  return [
    ...revoked.flatMap(({ kind, id, audience = [], until }) =>
      kind === 'jti' ? audience.map((name) => ({ jwt: id, audience: name, until: rfc3339(until) })) : [],
    ),
    ...revoked.flatMap(({ kind, id, until }) =>
      kind === 'serialNumber' ? [{ serialNumber: id, until: rfc3339(until) }] : [],
    ),
  ]
}
