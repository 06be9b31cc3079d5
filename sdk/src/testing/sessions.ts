/** Sessions of attested instances, their credentials, and which of these are live. */
import { hash } from 'node:crypto'
import { PurserError } from '../errors.ts'
import { addListener } from '../events/listeners.ts'
import type { Authority } from './authority.ts'
import type { Entries, WorkloadEntry } from './entries.ts'
import { newId } from './format.ts'

export type Session = {
  id: string
  instance: string
  entry: { id: string; spiffeId: string }
  expiresAt: Date
  ended: boolean
  /** Serial numbers that renewed: for which key, and when. */
  spent: Map<string, { holder: string; at: Date }>
}

type Credential = { session: Session; until: Date; revoked: boolean }

/** One name, as `POST /api/v1/revocations` takes it. */
export type Revocable =
  { serialNumber: string } | { jti: string } | { accessToken: string } | { session: string } | { spiffeId: string }

/** What a revocation blocks until it is released: the session's instance, or the SPIFFE ID. */
export type Blockable = { session: string } | { spiffeId: string }

export type Sessions = ReturnType<typeof createSessions>

/** A reply may get lost: for this time, a serial number that renewed may be repeated for the same key. */
const repeatMs = 60_000

type Parts = { authority: Authority; entries: Entries; now: () => Date }

export function createSessions({ authority, entries, now }: Parts) {
  const sessions = new Map<string, Session>()
  const newestOf = new Map<string, Session>()
  /** Instances and SPIFFE IDs that a revocation blocked. */
  const blocked = new Set<string>()
  const certificates = new Map<string, Credential & { caId: string }>()
  const jwts = new Map<string, Credential>()
  /** By public id, and by the SHA-256 of the token. */
  const accessTokens = new Map<string, Credential>()
  const tokenIds = new Map<string, string>()
  const listeners = new Set<(session: string) => void>()

  const isLive = ({ ended, expiresAt, entry }: Session): boolean =>
    !ended && expiresAt > now() && entries.get(entry.spiffeId)?.id === entry.id
  const ifLive = <C extends Credential>(credential: C | undefined): C | undefined =>
    credential && !credential.revoked && credential.until > now() && isLive(credential.session) ? credential : undefined

  function revokeCertificate(serialNumber: string, reason?: 'keyCompromise'): void {
    const certificate = certificates.get(serialNumber)
    if (!certificate || certificate.revoked) return
    certificate.revoked = true
    authority.revoke(certificate.caId, { serialNumber, at: now(), until: certificate.until, reason })
  }

  /** Ends a session with all of its credentials. */
  function end(session: Session, reason?: 'keyCompromise'): void {
    session.ended = true
    for (const listener of listeners) listener(session.id)
    for (const [serialNumber, certificate] of certificates)
      if (certificate.session === session) revokeCertificate(serialNumber, reason)
    for (const credential of [...jwts.values(), ...accessTokens.values()])
      if (credential.session === session) credential.revoked = true
  }

  const required = <T>(value: T | undefined): T => {
    if (value === undefined) throw new PurserError('not_found', 'there is nothing of that name to revoke')
    return value
  }

  return {
    /** Calls the listener when a session ends before its time. @returns a function that removes it */
    onEnd: (listener: (session: string) => void) => addListener(listeners, listener),
    /** The live session of an instance, whose end moves only forward, or a new one. @returns undefined while blocked */
    open(instance: string, { id: entryId, spiffeId, sessionSeconds }: WorkloadEntry): Session | undefined {
      if (blocked.has(instance) || blocked.has(spiffeId)) return undefined
      const expiresAt = new Date(now().getTime() + sessionSeconds * 1000)
      const underEntry = `${instance} ${entryId}`
      const before = newestOf.get(underEntry)
      if (before && isLive(before)) {
        if (before.expiresAt < expiresAt) before.expiresAt = expiresAt
        return before
      }
      const entry = { id: entryId, spiffeId }
      const session = { id: newId('ses'), instance, entry, expiresAt, ended: false, spent: new Map() }
      sessions.set(session.id, session)
      newestOf.set(underEntry, session)
      return session
    },

    byCertificate: (serialNumber: string): Session | undefined => {
      const certificate = ifLive(certificates.get(serialNumber))
      return certificate && authority.counts(certificate.caId) ? certificate.session : undefined
    },
    byJwt: (jti: string): Session | undefined => ifLive(jwts.get(jti))?.session,
    byAccessToken: (token: string): { session: Session; until: Date } | undefined =>
      ifLive(accessTokens.get(tokenIds.get(hash('sha256', token)) ?? '')),

    addCertificate: (session: Session, serialNumber: string, until: Date, caId: string): void =>
      void certificates.set(serialNumber, { session, until, revoked: false, caId }),
    addJwt: (session: Session, jti: string, until: Date): void =>
      void jwts.set(jti, { session, until, revoked: false }),
    addAccessToken(session: Session, token: string, id: string, until: Date): void {
      accessTokens.set(id, { session, until, revoked: false })
      tokenIds.set(hash('sha256', token), id)
    },

    /**
     * A serial number renews once, for one key. If it is presented again, later or for another key, two parties hold it:
     * its session ends.
     * @param holder the key to certify; undefined without a certificate, which spends nothing
     */
    spend(session: Session, serialNumber: string, holder: string | undefined): 'renewed' | 'spent' {
      const before = session.spent.get(serialNumber)
      const mayRepeat = before && now().getTime() - before.at.getTime() < repeatMs
      if (before && !(mayRepeat && (holder === undefined || holder === before.holder))) {
        end(session, 'keyCompromise')
        return 'spent'
      }
      if (!before && holder !== undefined) session.spent.set(serialNumber, { holder, at: now() })
      return 'renewed'
    },

    end,

    /** @throws PurserError `not_found` if nothing of that name is blocked */
    release(what: Blockable): void {
      const name = 'session' in what ? required(sessions.get(what.session)).instance : what.spiffeId
      if (!blocked.delete(name)) throw new PurserError('not_found', 'nothing of that name is blocked')
    },

    /** @throws PurserError `not_found` */
    revoke(what: Revocable): void {
      if ('serialNumber' in what) {
        const serialNumber = what.serialNumber.toLowerCase()
        required(certificates.get(serialNumber))
        revokeCertificate(serialNumber)
      } else if ('jti' in what) required(jwts.get(what.jti)).revoked = true
      else if ('accessToken' in what) required(accessTokens.get(what.accessToken)).revoked = true
      else if ('session' in what) {
        const session = required(sessions.get(what.session))
        blocked.add(session.instance)
        end(session)
      } else {
        blocked.add(what.spiffeId)
        for (const session of sessions.values()) if (session.entry.spiffeId === what.spiffeId) end(session)
      }
    },
  }
}
