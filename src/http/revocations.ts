/**
 * Revoking: one certificate, JWT, access token, a session with everything it holds, or what a SPIFFE ID was given. Every
 * replica refuses it from the entry's index on; who never asks is named in `outOfReach`. The instance of a revoked
 * session, or the SPIFFE ID, is blocked until an operator releases it (blocks.ts).
 */
import type { EntryPart, Revoked } from '../audit/entry.ts'
import type { Change } from '../audit/record.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import { oldestLive } from '../keys/keys.ts'
import { newId } from '../names/id.ts'
import { insertBlocks, isReleasable } from '../store/blocks.ts'
import type { Knex } from '../store/database.ts'
import { type RevokedLease, leasesHeld } from '../store/held-leases.ts'
import type { BlockKind, BlockRow } from '../store/rows.ts'
import { revokeTokens } from '../store/sessions.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type IdempotencyParts, idempotent } from './idempotency.ts'
import { bodyOf, json } from './request.ts'
import { type Asked, type Found, blocksOf, findRevoked } from '../actions/revocations/revoke.ts'
import type { ChangeState } from './route.ts'

export type RevocationParts = IdempotencyParts & { randomBytes: (size: number) => Buffer }

type Ended = { blocks: readonly BlockRow[]; sessions: readonly string[]; leases: readonly RevokedLease[] }

/** Names in one entry; more of them make further entries of the same request. */
const maxInEntry = 500

const valuesOf = (blocks: readonly BlockRow[], kind: BlockKind): string[] =>
  blocks.filter((block) => block.kind === kind).map((block) => block.value)

function revokedOf({ blocks, sessions, leases }: Ended): Revoked {
  const serialNumbers = valuesOf(blocks, 'serialNumber')
  const jtis = valuesOf(blocks, 'jti')
  const accessTokens = valuesOf(blocks, 'accessToken')
  const leaseIds = leases.map((lease) => lease.id)
  return {
    ...(serialNumbers.length > 0 && { serialNumbers }),
    ...(jtis.length > 0 && { jtis }),
    ...(accessTokens.length > 0 && { accessTokens }),
    ...(sessions.length > 0 && { sessions: [...sessions] }),
    ...(leaseIds.length > 0 && { leases: leaseIds }),
  }
}

/** Leases end within a second: jobs take their roles away. */
const showRevokedLease = ({ id, databaseId, username }: RevokedLease, { databases }: Snapshot) => ({
  id,
  database: databases.get(databaseId)?.name ?? databaseId,
  username,
})

/** The log names everything, so that what was refused at any time can be read from it. */
function entriesOf(id: string, asked: Asked, { blocks, sessions, leases }: Ended): EntryPart[] {
  const entries: EntryPart[] = []
  const kind = blocks.find(isReleasable)?.kind
  const max = Math.max(blocks.length, sessions.length, leases.length)
  const parts = Math.max(1, Math.ceil(max / maxInEntry))
  for (let n = 0; n < parts; n++) {
    const part = <T>(list: readonly T[]): T[] => list.slice(n * maxInEntry, (n + 1) * maxInEntry)
    entries.push({
      resource: { kind: 'revocation', id },
      revoked: revokedOf({ blocks: part(blocks), sessions: part(sessions), leases: part(leases) }),
      change: { after: n === 0 ? { ...asked, ...(kind && { blocks: kind }) } : { continues: id } },
    })
  }
  return entries
}

/** Verifiers that never ask take it until it ends: JWTs anywhere, certificates where no CRL is read. */
function outOfReach(found: Found, blocks: readonly BlockRow[]): Record<string, string>[] {
  const fresh = new Set(blocks.map((block) => block.value))
  return [
    ...found.jwts.flatMap(({ jti, audience, until }) =>
      fresh.has(jti) ? audience.map((one) => ({ jwt: jti, audience: one, until: rfc3339(until) })) : [],
    ),
    ...found.certificates.flatMap(({ serialNumber, until }) =>
      fresh.has(serialNumber) ? [{ serialNumber, until: rfc3339(until) }] : [],
    ),
  ]
}

type Done = { id: string; found: Found[] } & Ended & Omit<Change<never>, 'result'>

/**
 * Revokes in the transaction, and says what the log says of it.
 * @param mayReturn leaves the instance free: it may attest again, as another session
 * @throws Refusal `not_found`
 */
export async function revoke(
  tx: Knex.Transaction,
  asked: Asked,
  { known, now, randomBytes, mayReturn }: Revoking,
): Promise<Done> {
  const id = newId('rev', randomBytes)
  const found: Found[] = []
  const blocks: BlockRow[] = []
  await findRevoked(tx, asked, oldestLive(known, now), now, async ({ kept, ...rest }) => {
    const part = { ...rest, ...(kept && !mayReturn && { kept }) }
    const written = await insertBlocks(tx, id, blocksOf(part, asked.reason, now, randomBytes))
    await revokeTokens(tx, valuesOf(written, 'accessToken'), now)
    found.push(part)
    blocks.push(...written)
  })
  const sessions = found.flatMap((part) => part.sessions)
  const kept = found.flatMap((part) => part.kept ?? [])[0]
  const leases = kept ? await leasesHeld(tx, kept) : []
  const ended = { blocks, sessions, leases }
  const [entry = {}, ...more] = entriesOf(id, asked, ended)
  return {
    id,
    found,
    ...ended,
    entry,
    ...(more.length > 0 && { more }),
    // Also where nothing is new in memory: a session that ended is asked of the database, but what was decided under
    // it before goes again.
    changed: [{ table: 'block', where: { revocation: id } }],
  }
}
type Revoking = { known: Snapshot; now: Date; randomBytes: (size: number) => Buffer; mayReturn?: boolean }

export function createRevocationRoutes(parts: RevocationParts): { create: ChangeState } {
  const { randomBytes } = parts
  const create: ChangeState = async (request, tx, snapshot) => {
    const asked: Asked = bodyOf(request, 'createRevocation')
    const done = await revoke(tx, asked, { known: snapshot, now: request.time, randomBytes })
    const { id, found, blocks, sessions, leases, ...change } = done
    const count = (kind: BlockKind): number => valuesOf(blocks, kind).length
    const revoked = {
      certificates: count('serialNumber'),
      jwts: count('jti'),
      sessions: sessions.length,
      accessTokens: count('accessToken'),
    }
    const kind = blocks.find(isReleasable)?.kind
    const reply = {
      id,
      revoked,
      ...(kind && { blocks: kind }),
      leases: leases.map((lease) => showRevokedLease(lease, snapshot)),
      outOfReach: found.flatMap((part) => outOfReach(part, blocks)),
    }
    return { result: json(reply, { status: 201 }), ...change }
  }
  return { create: idempotent(parts, create) }
}
