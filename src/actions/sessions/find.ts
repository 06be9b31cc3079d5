/** The session behind a credential that a caller presents. Revocation is asked each time. */
import { blockOf } from '../../authorize/session.ts'
import { counts, stands } from '../../authorize/standing.ts'
import type { Database } from '../../store/database.ts'
import { findIssued } from '../../store/issued.ts'
import { blockKey } from '../../store/snapshot-tables.ts'
import { type LiveToken, type StoredSession, liveToken, sessionById } from '../../store/sessions.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { type ClientCertificate, isIssuedUnder } from '../../authorize/client-certificate.ts'
import { createRecent } from './recent.ts'

export type FindSession = ReturnType<typeof createFindSession>

type Certified = { session: StoredSession; serialNumber: string; keyId: string }

const shownBy = ({ id, expiresAt, session }: LiveToken) => ({ session, accessToken: id, until: expiresAt })

/** What a credential leads to, from the log: there is no second table of what was issued. */
export function createFindSession({ knex }: Pick<Database, 'knex'>) {
  const live = (session: StoredSession | undefined, snapshot: Snapshot, now: Date): StoredSession | undefined =>
    session && stands(snapshot, session) && !blockOf(snapshot, session, now) ? session : undefined

  // A token or certificate leads to one session for its whole life, and does not outlive it. A block is in the snapshot; the
  // append judges the session's end and the version of its facts.
  const tokens = createRecent<LiveToken>()
  const certificates = createRecent<Certified>()

  const byId = async (id: string | undefined, snapshot: Snapshot, now: Date): Promise<StoredSession | undefined> =>
    id === undefined ? undefined : live(await sessionById(knex, id, now), snapshot, now)

  /** The log names the certificate by its hash; the signature shows that the entry names the key that issued it. */
  async function byCertificate(
    { certificate, sha256 }: ClientCertificate,
    snapshot: Snapshot,
    now: Date,
  ): Promise<Certified | undefined> {
    const entry = await findIssued(knex, { sha256 })
    const x509 = entry?.issued.x509
    if (!x509 || !isIssuedUnder(snapshot, x509.keyId, certificate)) return undefined
    const shown = { serialNumber: x509.serialNumber, keyId: x509.keyId }
    const session = counts(snapshot, shown) ? await byId(entry.actor.session, snapshot, now) : undefined
    if (!session) return undefined
    const found = { session, ...shown }
    certificates.keep(sha256, found, session.expiresAt)
    return found
  }

  async function token(hash: Buffer, snapshot: Snapshot, now: Date): Promise<LiveToken | undefined> {
    const found = await liveToken(knex, hash, now)
    if (!found || !counts(snapshot, { accessToken: found.id }) || !live(found.session, snapshot, now)) return undefined
    tokens.keep(hash.toString('base64'), found, found.expiresAt)
    return found
  }

  return {
    token,
    /** As `byAccessToken` and `byCertificate`, for what is appended: the append judges whether the session has ended. */
    recent: {
      async byAccessToken(hash: Buffer, snapshot: Snapshot, now: Date) {
        const key = hash.toString('base64')
        const kept = tokens.get(key, now)
        if (kept && counts(snapshot, { accessToken: kept.id }) && live(kept.session, snapshot, now))
          return shownBy(kept)
        const found = await token(hash, snapshot, now)
        return found && shownBy(found)
      },
      async byCertificate(presented: ClientCertificate, snapshot: Snapshot, now: Date) {
        const kept = certificates.get(presented.sha256, now)
        return kept && counts(snapshot, kept) && live(kept.session, snapshot, now)
          ? kept
          : byCertificate(presented, snapshot, now)
      },
    },
    async byAccessToken(hash: Buffer, snapshot: Snapshot, now: Date) {
      const found = await token(hash, snapshot, now)
      return found && shownBy(found)
    },

    byCertificate,

    /**
     * The session that a JWT of ours was issued to. Nothing also for one that the log doesn't know: a key of ours signed
     * it where nobody recorded it.
     */
    async byJwt(jti: string, snapshot: Snapshot, now: Date) {
      if (snapshot.blocks.has(blockKey('jti', jti))) return undefined
      return byId((await findIssued(knex, { jti }))?.actor.session, snapshot, now)
    },
  }
}
