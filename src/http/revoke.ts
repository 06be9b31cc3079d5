/** What a revocation covers: found in the log before any lock is taken, and once more, for what came since, under it. */
import { refuse } from '../errors.ts'
import { newId } from '../names/id.ts'
import type { Knex } from '../store/database.ts'
import { type IssuedEntry, type Place, findIssued, issuedTo } from '../store/issued.ts'
import { lockHead, readHead } from '../store/log.ts'
import type { BlockKind, BlockRow } from '../store/rows.ts'
import { anySession, endSession, endSessionsOf, tokenById } from '../store/sessions.ts'

/** A valid body of the route has exactly one of the first five. */
export type Asked = {
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
  /** Whoever may not come back before then, by the session's instance. */
  instance?: { value: string; until: Date }
}

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
async function one(tx: Knex, asked: Asked, now: Date): Promise<Found> {
  const { serialNumber, jti, accessToken } = asked
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
  found.certificates = all.certificates.filter((one) => one.serialNumber === serialNumber)
  found.jwts = all.jwts.filter((one) => one.jti === jti)
  return found
}

/**
 * Everything of a session or a SPIFFE ID. From the head lock on nobody else appends, so nothing that is issued meanwhile
 * is missed. The sessions' own rows are locked after it, in the order of the group commit: the other way round, an
 * issuance of the same session and this would wait for each other.
 * @param oldest what was issued before is expired in any case
 * @throws Refusal `not_found` for a session that there never was
 */
async function everything(tx: Knex.Transaction, asked: Asked, oldest: Date, now: Date): Promise<Found> {
  const { session: id, spiffeId = '' } = asked
  const session = id === undefined ? undefined : await anySession(tx, id)
  if (id !== undefined && !session) throw refuse('not_found')
  const wanted = asked.since === undefined ? oldest : new Date(asked.since)
  const since = wanted > oldest ? wanted : oldest
  const holder = id === undefined ? { spiffeId } : { session: id }
  const found = nothing()
  const seen = new Set<string>()
  const collect = async (from?: Place): Promise<void> => {
    for await (const { entry, place } of issuedTo(tx, holder, since, from)) {
      const key = `${place.epoch}/${place.index}`
      if (!seen.has(key)) add(found, entry, now)
      seen.add(key)
    }
  }

  const before = await readHead(tx)
  await collect()
  await lockHead(tx)
  if (before) await collect({ epoch: before.epoch, index: before.size })
  if (session) {
    if ((await endSession(tx, session.id, 'revoked', now)) === 1 && session.expiresAt > now)
      found.sessions.push(session.id)
    found.instance = { value: session.instance.toString('hex'), until: session.expiresAt }
  } else {
    found.sessions.push(
      ...(await endSessionsOf(tx, spiffeId, asked.since === undefined ? new Date(0) : wanted, 'revoked', now)),
    )
  }
  return found
}

export const findRevoked = (tx: Knex.Transaction, asked: Asked, oldest: Date, now: Date): Promise<Found> =>
  asked.session === undefined && asked.spiffeId === undefined ? one(tx, asked, now) : everything(tx, asked, oldest, now)

/** The rows that make every replica refuse what was found, each until it would have ended. */
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
  return [
    ...found.certificates.map((one) => block('serialNumber', one.serialNumber, one.until, one.keyId)),
    ...found.jwts.map((one) => block('jti', one.jti, one.until, one.keyId)),
    ...found.accessTokens.map((one) => block('accessToken', one.id, one.until)),
    ...(found.instance && found.instance.until > now
      ? [block('instance', found.instance.value, found.instance.until)]
      : []),
  ]
}
