/** Attested instances, what each was given, and what of it still counts. */
import { hash, randomBytes } from 'node:crypto'
import { PurserError } from '../errors.ts'
import type { Authority } from './authority.ts'
import type { Entries, WorkloadEntry } from './entries.ts'

export type Session = {
  id: string
  instance: string
  entry: { id: string; spiffeId: string }
  expiresAt: Date
  ended: boolean
  /** Serial numbers that renewed: for which key, and when. */
  spent: Map<string, { holder: string; at: Date }>
}

type Given = { session: Session; until: Date; revoked: boolean }

/** One name, as `POST /api/v1/revocations` takes it. */
export type Revocable =
  { serialNumber: string } | { jti: string } | { accessToken: string } | { session: string } | { spiffeId: string }

/** What a revocation keeps out until it is released. */
export type Blockable = { session: string } | { spiffeId: string }

export type Sessions = ReturnType<typeof createSessions>

/** Replies get lost, so that for so long a serial number is still good for the key that it renewed for. */
const repeatMs = 60_000

const secret = (token: string): string => hash('sha256', token)

export function createSessions({
  authority,
  entries,
  now,
}: {
  authority: Authority
  entries: Entries
  now: () => Date
}) {
  const sessions = new Map<string, Session>()
  const hearers = new Set<(session: string) => void>()
  const newestOf = new Map<string, Session>()
  /** Instances and SPIFFE IDs of revocations: refused until they are released. */
  const blocked = new Set<string>()
  const certificates = new Map<string, Given & { caId: string }>()
  const jwts = new Map<string, Given>()
  /** By public id, and by the SHA-256 of the token. */
  const accessTokens = new Map<string, Given>()
  const tokenIds = new Map<string, string>()

  const isLive = ({ ended, expiresAt, entry }: Session): boolean =>
    !ended && expiresAt > now() && entries.get(entry.spiffeId)?.id === entry.id
  const holds = <G extends Given>(given: G | undefined): G | undefined =>
    given && !given.revoked && given.until > now() && isLive(given.session) ? given : undefined

  function revokeCertificate(serialNumber: string, reason?: 'keyCompromise'): void {
    const given = certificates.get(serialNumber)
    if (!given || given.revoked) return
    given.revoked = true
    authority.revoke(given.caId, { serialNumber, at: now(), until: given.until, reason })
  }

  /** Ends it, with everything that it was given. */
  function end(session: Session, reason?: 'keyCompromise'): void {
    session.ended = true
    for (const hear of hearers) hear(session.id)
    for (const [serialNumber, given] of certificates)
      if (given.session === session) revokeCertificate(serialNumber, reason)
    for (const given of [...jwts.values(), ...accessTokens.values()])
      if (given.session === session) given.revoked = true
  }

  const known = <T>(found: T | undefined): T => {
    if (found === undefined) throw new PurserError('not_found', 'there is nothing of that name to revoke')
    return found
  }

  return {
    /** Told of each session that ends before its time. Answers how to stop listening. */
    onEnd(hear: (session: string) => void): () => void {
      hearers.add(hear)
      return () => void hearers.delete(hear)
    },
    /** The session of an instance, which goes on until it ended; a session's end moves only forward. */
    open(instance: string, entry: WorkloadEntry): Session | undefined {
      if (blocked.has(instance) || blocked.has(entry.spiffeId)) return undefined
      const expiresAt = new Date(now().getTime() + entry.sessionSeconds * 1000)
      const underEntry = `${instance} ${entry.id}`
      const before = newestOf.get(underEntry)
      if (before && isLive(before)) {
        if (before.expiresAt < expiresAt) before.expiresAt = expiresAt
        return before
      }
      const id = `ses_${randomBytes(16).toString('hex')}`
      const { id: entryId, spiffeId } = entry
      const made = { id, instance, entry: { id: entryId, spiffeId }, expiresAt, ended: false, spent: new Map() }
      sessions.set(id, made)
      newestOf.set(underEntry, made)
      return made
    },

    byCertificate: (serialNumber: string): Session | undefined => {
      const given = holds(certificates.get(serialNumber))
      return given && authority.counts(given.caId) ? given.session : undefined
    },
    byJwt: (jti: string): Session | undefined => holds(jwts.get(jti))?.session,
    byAccessToken(token: string): { session: Session; until: Date } | undefined {
      return holds(accessTokens.get(tokenIds.get(secret(token)) ?? ''))
    },

    gaveCertificate: (session: Session, serialNumber: string, until: Date, caId: string): void =>
      void certificates.set(serialNumber, { session, until, revoked: false, caId }),
    gaveJwt: (session: Session, jti: string, until: Date): void =>
      void jwts.set(jti, { session, until, revoked: false }),
    gaveAccessToken(session: Session, token: string, id: string, until: Date): void {
      accessTokens.set(id, { session, until, revoked: false })
      tokenIds.set(secret(token), id)
    },

    /**
     * A serial number renews once, for one key. One that is presented again, later or for another key, is held by two: its
     * session ends.
     * @param holder the new key; none where no certificate is asked for, which spends nothing
     */
    spend(session: Session, serialNumber: string, holder: string | undefined): 'renewed' | 'spent' {
      const before = session.spent.get(serialNumber)
      const again = before && now().getTime() - before.at.getTime() < repeatMs
      if (before && !(again && (holder === undefined || holder === before.holder))) {
        end(session, 'keyCompromise')
        return 'spent'
      }
      if (!before && holder !== undefined) session.spent.set(serialNumber, { holder, at: now() })
      return 'renewed'
    },

    end,

    /** @throws PurserError `not_found` where nothing of that name is blocked */
    release(what: Blockable): void {
      const name = 'session' in what ? known(sessions.get(what.session)).instance : what.spiffeId
      if (!blocked.delete(name)) throw new PurserError('not_found', 'nothing of that name is blocked')
    },

    /** @throws PurserError `not_found` */
    revoke(what: Revocable): void {
      if ('serialNumber' in what) {
        known(certificates.get(what.serialNumber.toLowerCase()))
        revokeCertificate(what.serialNumber.toLowerCase())
      } else if ('jti' in what) known(jwts.get(what.jti)).revoked = true
      else if ('accessToken' in what) known(accessTokens.get(what.accessToken)).revoked = true
      else if ('session' in what) {
        const session = known(sessions.get(what.session))
        blocked.add(session.instance)
        end(session)
      } else {
        blocked.add(what.spiffeId)
        for (const session of sessions.values()) if (session.entry.spiffeId === what.spiffeId) end(session)
      }
    },
  }
}
