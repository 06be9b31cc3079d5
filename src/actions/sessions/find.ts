/** The session behind a credential that a caller presents. Whether it was revoked is judged at each look-up. */
import { type ClientCertificate, isIssuedUnder } from '../../authorize/client-certificate.ts'
import { isAccepted, stands } from '../../authorize/standing.ts'
import type { Database } from '../../store/database.ts'
import { findIssued } from '../../store/issued.ts'
import { type LiveToken, type Revocable, type StoredSession, liveSessionOf, liveToken } from '../../store/sessions.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { createLookupCache } from './lookup-cache.ts'

export type FindSession = ReturnType<typeof createFindSession>

type CertificateSession = { session: StoredSession; serialNumber: string; keyId: string }

const tokenSession = ({ id, expiresAt, session }: LiveToken) => ({ session, accessToken: id, until: expiresAt })

/** Certificates and JWTs are found in the log: no second table repeats what was issued. */
export function createFindSession({ knex }: Pick<Database, 'knex'>) {
  // A credential belongs to one session and does not outlive it. Look-ups find no revoked credential, and the snapshot
  // has the blocks and what was revoked since; the append judges whether the session ended and whether its facts changed.
  const tokens = createLookupCache<LiveToken>()
  const certificates = createLookupCache<CertificateSession>()

  const isLiveToken = ({ id, session }: LiveToken, snapshot: Snapshot, now: Date): boolean =>
    isAccepted(snapshot, { accessToken: id }) && stands(snapshot, session, now)

  async function sessionOf(
    credential: Revocable,
    id: string | undefined,
    snapshot: Snapshot,
    now: Date,
  ): Promise<StoredSession | undefined> {
    const session = id === undefined ? undefined : await liveSessionOf(knex, credential, id, now)
    return session && stands(snapshot, session, now) ? session : undefined
  }

  async function token(hash: Buffer, snapshot: Snapshot, now: Date): Promise<LiveToken | undefined> {
    const row = await liveToken(knex, hash, now)
    if (!row || !isLiveToken(row, snapshot, now)) return undefined
    tokens.set(hash.toString('base64'), row, row.expiresAt)
    return row
  }

  /** The log names the certificate by its hash; the signature shows that the entry names the key that issued it. */
  async function byCertificate(
    { certificate, sha256 }: ClientCertificate,
    snapshot: Snapshot,
    now: Date,
  ): Promise<CertificateSession | undefined> {
    const entry = await findIssued(knex, { sha256 })
    const x509 = entry?.issued.x509
    if (!x509 || !isIssuedUnder(snapshot, x509.keyId, certificate)) return undefined
    const { serialNumber, keyId } = x509
    if (!isAccepted(snapshot, { serialNumber, keyId })) return undefined
    const credential = { kind: 'serialNumber', name: serialNumber } as const
    const session = await sessionOf(credential, entry.actor.session, snapshot, now)
    if (!session) return undefined
    const result = { session, serialNumber, keyId }
    certificates.set(sha256, result, session.expiresAt)
    return result
  }

  return {
    token,
    async byAccessToken(hash: Buffer, snapshot: Snapshot, now: Date) {
      const row = await token(hash, snapshot, now)
      return row && tokenSession(row)
    },
    byCertificate,

    /** From the cache where it can, for requests whose append judges whether the session ended. */
    cached: {
      async byAccessToken(hash: Buffer, snapshot: Snapshot, now: Date) {
        const cached = tokens.get(hash.toString('base64'), now)
        const row = cached && isLiveToken(cached, snapshot, now) ? cached : await token(hash, snapshot, now)
        return row && tokenSession(row)
      },
      async byCertificate(presented: ClientCertificate, snapshot: Snapshot, now: Date) {
        const cached = certificates.get(presented.sha256, now)
        return cached && isAccepted(snapshot, cached) && stands(snapshot, cached.session, now)
          ? cached
          : byCertificate(presented, snapshot, now)
      },
    },

    /** Nothing for a JWT that the log does not list: a key of Purser's signed it, and no issuance was recorded. */
    async byJwt(jti: string, snapshot: Snapshot, now: Date) {
      const entry = await findIssued(knex, { jti })
      return sessionOf({ kind: 'jti', name: jti }, entry?.actor.session, snapshot, now)
    },
  }
}
