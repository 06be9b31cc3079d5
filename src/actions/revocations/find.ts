/** What a revocation covers: found in the log before any lock is taken, and once more, for what came since, under it. */
import { refuse } from '../../errors.ts'
import { newId } from '../../names/id.ts'
import type { Knex } from '../../store/database.ts'
import { lockRevocations, untilReleased } from '../../store/blocks.ts'
import type { Place } from '../../store/entries.ts'
import { type IssuedEntry, findIssued, issuedTo } from '../../store/issued.ts'
import { lockHead } from '../../store/log.ts'
import type { BlockKind, BlockRow } from '../../store/rows.ts'
import { anySession, endSession, endSessionsOf, tokenById } from '../../store/sessions.ts'

/** A valid body of the route has exactly one of the first five. */
export type Selection = {
  serialNumber?: string
  jti?: string
  session?: string
  accessToken?: string
  spiffeId?: string
  since?: string
  reason?: string
}

/** Live credentials, by the names that verifiers know. */
export type Found = {
  certificates: { serialNumber: string; keyId: string; until: Date }[]
  jwts: { jti: string; audience: string[]; keyId: string; until: Date }[]
  accessTokens: { id: string; until: Date }[]
  /** Those that were ended. */
  sessions: string[]
  /** The caller that is kept out until the block is released. */
  kept?: KeptOut
}

/** `workloadId`: the entry that the MAC of an instance includes, where an earlier version wrote it. */
type KeptOut = { kind: 'instance' | 'spiffeId'; value: string; sessionId?: string; workloadId?: string }

export type Write = (found: Found) => Promise<void>

const nothing = (): Found => ({ certificates: [], jwts: [], accessTokens: [], sessions: [] })

/** Adds what an entry issued and is not expired. */
function add(found: Found, { issued }: IssuedEntry, now: Date): void {
  const { x509, jwts = [], accessToken } = issued
  const live = (end: string): boolean => new Date(end) > now
  if (x509 && live(x509.notAfter)) {
    found.certificates.push({
      serialNumber: x509.serialNumber,
      keyId: x509.keyId,
      until: new Date(x509.notAfter),
    })
  }
  for (const { jti, audience, keyId, expiresAt } of jwts) {
    if (live(expiresAt)) found.jwts.push({ jti, audience, keyId, until: new Date(expiresAt) })
  }
  if (accessToken && live(accessToken.expiresAt)) {
    found.accessTokens.push({ id: accessToken.id, until: new Date(accessToken.expiresAt) })
  }
}

/** One credential of that name and nothing else that came with it. @throws Refusal `not_found` */
async function one(tx: Knex, selection: Selection, now: Date): Promise<Found> {
  const { serialNumber, jti, accessToken } = selection
  const found = nothing()
  if (accessToken !== undefined) {
    const token = await tokenById(tx, accessToken)
    if (!token) throw refuse('not_found')
    if (token.expiresAt > now) found.accessTokens.push({ id: token.id, until: token.expiresAt })
    return found
  }
  const entry = await findIssued(tx, jti === undefined ? { serialNumber: serialNumber ?? '' } : { jti })
  if (!entry) throw refuse('not_found')
  const all = nothing()
  add(all, entry, now)
  found.certificates = all.certificates.filter((certificate) => certificate.serialNumber === serialNumber)
  found.jwts = all.jwts.filter((jwt) => jwt.jti === jti)
  return found
}

/** What to look for: everything that was issued to a session or a SPIFFE ID. */
type Holder = { session: NonNullable<Awaited<ReturnType<typeof anySession>>> } | { spiffeId: string }

/** @throws Refusal `not_found` for a session that there never was */
async function holderOf(tx: Knex, { session: id, spiffeId = '' }: Selection): Promise<Holder> {
  if (id === undefined) return { spiffeId }
  const session = await anySession(tx, id)
  if (!session) throw refuse('not_found')
  return { session }
}

async function end(tx: Knex.Transaction, holder: Holder, since: Date, now: Date): Promise<Partial<Found>> {
  if ('spiffeId' in holder) {
    const { spiffeId } = holder
    const sessions = await endSessionsOf(tx, spiffeId, since, 'revoked', now)
    return { sessions, kept: { kind: 'spiffeId', value: spiffeId } }
  }
  const { id, instance, expiresAt, entryKeyed, workloadId } = holder.session
  const ended = (await endSession(tx, id, 'revoked', now)) === 1 && expiresAt > now
  return {
    sessions: ended ? [id] : [],
    kept: { kind: 'instance', value: instance.toString('hex'), sessionId: id, ...(entryKeyed && { workloadId }) },
  }
}

/**
 * Everything of a session or a SPIFFE ID. Most of it is found and written before the head lock. No other append happens
 * under that lock, so the second search finds what was issued meanwhile and misses nothing. The rows of sessions are
 * locked after the head, in the order of the group commit: in the other order this and an issuance of the same session
 * would deadlock.
 * @param oldest credentials issued before are expired
 */
async function everything(
  tx: Knex.Transaction,
  selection: Selection,
  oldest: Date,
  now: Date,
  write: Write,
): Promise<void> {
  const holder = await holderOf(tx, selection)
  const since = selection.since === undefined ? new Date(0) : new Date(selection.since)
  const named = 'session' in holder ? { session: holder.session.id } : holder
  let next: Place = { epoch: 0, index: 0 }
  async function collect(): Promise<Found> {
    const found = nothing()
    for await (const { entry, place } of issuedTo(tx, named, since > oldest ? since : oldest, next)) {
      add(found, entry, now)
      next = { epoch: place.epoch, index: place.index + 1 }
    }
    return found
  }
  const already = await collect()
  await lockRevocations(tx)
  await write(already)
  await lockHead(tx)
  await write({ ...(await collect()), ...(await end(tx, holder, since, now)) })
}

/**
 * Finds what a revocation covers and ends the sessions in it.
 * @param write receives the findings, in one or two parts
 * @throws Refusal `not_found`
 */
export async function findRevoked(
  tx: Knex.Transaction,
  selection: Selection,
  oldest: Date,
  now: Date,
  write: Write,
): Promise<void> {
  if (selection.session === undefined && selection.spiffeId === undefined) {
    const found = await one(tx, selection, now)
    await lockRevocations(tx)
    await write(found)
  } else await everything(tx, selection, oldest, now, write)
}

/** The blocks by which every replica refuses a credential until it expires, and a caller until its release. */
export function blocksOf(
  found: Found,
  reason: string | undefined,
  now: Date,
  randomBytes: (size: number) => Buffer,
): BlockRow[] {
  const block = (kind: BlockKind, value: string, until: Date, keyId?: string): BlockRow => ({
    id: newId('blk', randomBytes),
    kind,
    value,
    ...(keyId !== undefined && { keyId }),
    ...(reason !== undefined && { reason }),
    at: now,
    until,
  })
  const keptOut = ({ kind, value, ...more }: KeptOut): BlockRow => ({ ...block(kind, value, untilReleased), ...more })
  return [
    ...found.certificates.map((certificate) =>
      block('serialNumber', certificate.serialNumber, certificate.until, certificate.keyId),
    ),
    ...found.jwts.map((jwt) => block('jti', jwt.jti, jwt.until, jwt.keyId)),
    ...found.accessTokens.map((token) => block('accessToken', token.id, token.until)),
    ...(found.kept ? [keptOut(found.kept)] : []),
  ]
}
