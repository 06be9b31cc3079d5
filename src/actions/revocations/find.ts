/** What a revocation covers: found in the log before any lock is taken, and once more, for what came since, under it. */
import { refuse } from '../../errors.ts'
import { type Bound, hasSpiffeId } from '../../names/bound.ts'
import { newId } from '../../names/id.ts'
import { lockRevocations, untilReleased } from '../../store/blocks.ts'
import type { Knex } from '../../store/database.ts'
import { type IssuedCredential, type LogPart, credentialsOf, findIssued, issuedTo } from '../../store/issued.ts'
import { lockHead, readHead } from '../../store/log.ts'
import type { BlockKind, BlockRow } from '../../store/rows.ts'
import { endSession, endSessionsOf, sessionById, tokenById } from '../../store/sessions.ts'

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

export type Coverage = {
  /** Live ones. */
  credentials: IssuedCredential[]
  /** Those that were ended. */
  sessions: string[]
  /** The caller that is kept out until the block is released. */
  caller?: BlockedCaller
}

/** `workloadId`: the entry that the MAC of an instance includes, where an earlier version wrote it. */
type BlockedCaller = { kind: 'instance' | 'spiffeId'; value: string; sessionId?: string; workloadId?: string }

export type Write = (coverage: Coverage) => Promise<void>

const isLive = ({ until }: IssuedCredential, now: Date): boolean => until > now

/** `oldest`: credentials issued before are expired. `bound`: that of the operator who revokes. */
type Reach = { oldest: Date; bound: Bound | undefined }

/** One credential of that name and nothing else that came with it. @throws Refusal `not_found`, also outside the bound */
async function findCredential(
  tx: Knex,
  { serialNumber, jti, accessToken }: Selection,
  bound: Bound | undefined,
): Promise<IssuedCredential> {
  if (accessToken !== undefined) {
    const token = await tokenById(tx, accessToken)
    if (!token || !hasSpiffeId(bound, token.spiffeId ?? '')) throw refuse('not_found')
    return { kind: 'accessToken', id: token.id, until: token.expiresAt }
  }
  const name = jti === undefined ? { serialNumber: serialNumber ?? '' } : { jti }
  const entry = await findIssued(tx, name)
  const credential =
    entry && credentialsOf(entry.issued).find(({ kind, id }) => kind in name && id === (jti ?? serialNumber))
  if (!credential || !hasSpiffeId(bound, entry?.actor.spiffeId ?? '')) throw refuse('not_found')
  return credential
}

/** What to look for: everything that was issued to a session or a SPIFFE ID. */
type Holder = { session: NonNullable<Awaited<ReturnType<typeof sessionById>>> } | { spiffeId: string }

/** @throws Refusal `not_found` for a session that there never was, or a caller outside the bound */
async function holderOf(
  tx: Knex,
  { session: id, spiffeId = '' }: Selection,
  bound: Bound | undefined,
): Promise<Holder> {
  if (id === undefined) {
    if (!hasSpiffeId(bound, spiffeId)) throw refuse('not_found')
    return { spiffeId }
  }
  const session = await sessionById(tx, id)
  if (!session || !hasSpiffeId(bound, session.spiffeId)) throw refuse('not_found')
  return { session }
}

async function end(tx: Knex.Transaction, holder: Holder, since: Date, now: Date): Promise<Partial<Coverage>> {
  if ('spiffeId' in holder) {
    const { spiffeId } = holder
    const sessions = await endSessionsOf(tx, spiffeId, since, 'revoked', now)
    return { sessions, caller: { kind: 'spiffeId', value: spiffeId } }
  }
  const { id, instance, expiresAt, entryKeyed, workloadId } = holder.session
  const ended = (await endSession(tx, id, 'revoked', now)) === 1 && expiresAt > now
  return {
    sessions: ended ? [id] : [],
    caller: { kind: 'instance', value: instance.toString('hex'), sessionId: id, ...(entryKeyed && { workloadId }) },
  }
}

/**
 * Everything of a session or a SPIFFE ID. Most of it is found and written before the head lock. No other append happens
 * under that lock, so the second search finds what was issued meanwhile and misses nothing. The rows of sessions are
 * locked after the head, in the order of the group commit: in the other order this and an issuance of the same session
 * would deadlock.
 */
async function everything(
  tx: Knex.Transaction,
  selection: Selection,
  { oldest, bound }: Reach,
  now: Date,
  write: Write,
): Promise<void> {
  const holder = await holderOf(tx, selection, bound)
  const since = selection.since === undefined ? new Date(0) : new Date(selection.since)
  const query = 'session' in holder ? { session: holder.session.id } : holder
  async function collect(part: LogPart): Promise<Coverage> {
    const credentials: IssuedCredential[] = []
    for await (const { issued } of issuedTo(tx, query, since > oldest ? since : oldest, part)) {
      credentials.push(...credentialsOf(issued).filter((credential) => isLive(credential, now)))
    }
    return { credentials, sessions: [] }
  }
  const before = await readHead(tx)
  if (!before) throw new Error('the log has no head row')
  const { epoch, size } = before
  const already = await collect({ before: { epoch, index: size } })
  await lockRevocations(tx)
  await write(already)
  const head = await lockHead(tx)
  await write({ ...(await collect({ epoch, from: size, to: head.size })), ...(await end(tx, holder, since, now)) })
}

/**
 * Finds what a revocation covers and ends the sessions in it.
 * @param write receives the findings, in one or two parts
 * @throws Refusal `not_found`
 */
export async function findRevoked(
  tx: Knex.Transaction,
  selection: Selection,
  reach: Reach,
  now: Date,
  write: Write,
): Promise<void> {
  if (selection.session === undefined && selection.spiffeId === undefined) {
    const credential = await findCredential(tx, selection, reach.bound)
    await lockRevocations(tx)
    await write({ credentials: isLive(credential, now) ? [credential] : [], sessions: [] })
  } else await everything(tx, selection, reach, now, write)
}

/** The blocks by which every replica refuses a credential until it expires, and a caller until its release. */
export function blocksOf(
  coverage: Coverage,
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
  const blockOfCaller = ({ kind, value, ...more }: BlockedCaller): BlockRow => ({
    ...block(kind, value, untilReleased),
    ...more,
  })
  return [
    ...coverage.credentials.map(({ kind, id, until, keyId }) => block(kind, id, until, keyId)),
    ...(coverage.caller ? [blockOfCaller(coverage.caller)] : []),
  ]
}
