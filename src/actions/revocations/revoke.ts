/**
 * Revokes one certificate, JWT or access token, a session with everything it holds, or everything of a SPIFFE ID. Every
 * replica refuses it from the entry's index on. The instance of a revoked session, or the SPIFFE ID, is blocked until an
 * operator releases it (release.ts).
 */
import type { EntryPart, Revoked } from '../../audit/entry.ts'
import type { Change } from '../../audit/record.ts'
import { oldestLive } from '../../keys/keys.ts'
import type { Bound } from '../../names/bound.ts'
import { newId } from '../../names/id.ts'
import { insertBlocks, isReleasable } from '../../store/blocks.ts'
import type { Knex } from '../../store/database.ts'
import { type RevokedLease, leasesOfHolder } from '../../store/lease-ends.ts'
import type { BlockKind, BlockRow } from '../../store/rows.ts'
import { revokeTokens } from '../../store/sessions.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { type Coverage, type Selection, blocksOf, findRevoked } from './find.ts'

type Ended = { blocks: readonly BlockRow[]; sessions: readonly string[]; leases: readonly RevokedLease[] }

/** Names in one entry; more of them make further entries of the same request. */
const maxInEntry = 500

export const valuesOf = (blocks: readonly BlockRow[], kind: BlockKind): string[] =>
  blocks.filter((block) => block.kind === kind).map((block) => block.value)

/** What keeps the caller out until it is released: its instance or its SPIFFE ID. */
export const blockedKind = (blocks: readonly BlockRow[]): BlockKind | undefined => blocks.find(isReleasable)?.kind

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

/** The log names every revoked credential, so that refusals at any time can be explained from it. */
function entriesOf(id: string, selection: Selection, { blocks, sessions, leases }: Ended): EntryPart[] {
  const entries: EntryPart[] = []
  const kind = blockedKind(blocks)
  const max = Math.max(blocks.length, sessions.length, leases.length)
  const parts = Math.max(1, Math.ceil(max / maxInEntry))
  for (let n = 0; n < parts; n++) {
    const part = <T>(list: readonly T[]): T[] => list.slice(n * maxInEntry, (n + 1) * maxInEntry)
    entries.push({
      resource: { kind: 'revocation', id },
      revoked: revokedOf({ blocks: part(blocks), sessions: part(sessions), leases: part(leases) }),
      change: { after: n === 0 ? { ...selection, ...(kind && { blocks: kind }) } : { continues: id } },
    })
  }
  return entries
}

export type Revocation = { id: string; coverage: Coverage[] } & Ended

/**
 * Revokes in the transaction, and says what the log says of it.
 * @param bound of the operator who revokes
 * @param mayReturn leaves the instance free: it may attest again, as another session
 * @throws Refusal `not_found`
 */
export async function revoke(
  tx: Knex.Transaction,
  snapshot: Snapshot,
  selection: Selection,
  {
    now,
    randomBytes,
    mayReturn,
    bound,
  }: { now: Date; randomBytes: (size: number) => Buffer; mayReturn?: boolean; bound?: Bound | undefined },
): Promise<Change<Revocation>> {
  const id = newId('rev', randomBytes)
  const coverage: Coverage[] = []
  const blocks: BlockRow[] = []
  const reach = { oldest: oldestLive(snapshot, now), bound }
  await findRevoked(tx, selection, reach, now, async ({ caller, ...rest }) => {
    const part = { ...rest, ...(caller && !mayReturn && { caller }) }
    const pageBlocks = await insertBlocks(tx, id, blocksOf(part, selection.reason, now, randomBytes))
    await revokeTokens(tx, valuesOf(pageBlocks, 'accessToken'), now)
    coverage.push(part)
    blocks.push(...pageBlocks)
  })
  const sessions = coverage.flatMap((part) => part.sessions)
  const caller = coverage.flatMap((part) => part.caller ?? [])[0]
  const leases = caller ? await leasesOfHolder(tx, caller) : []
  const ended = { blocks, sessions, leases }
  const [entry = {}, ...more] = entriesOf(id, selection, ended)
  return {
    result: { id, coverage, ...ended },
    entry,
    ...(more.length > 0 && { more }),
    // Also where no block is new. The end of a session is in the database alone, and this makes replicas decide again what
    // they decided under the session.
    changed: [{ table: 'block', where: { revocation: id } }],
  }
}
