/** The session behind a credential that a caller presents. Revocation is asked each time. */
import { blockOf } from '../authorize/session.ts'
import { counts, stands } from '../authorize/standing.ts'
import type { Database } from '../store/database.ts'
import { findIssued } from '../store/issued.ts'
import { blockKey } from '../store/snapshot-tables.ts'
import { type LiveToken, type StoredSession, liveToken, sessionById } from '../store/sessions.ts'
import type { Snapshot } from '../store/snapshot.ts'

export type FindSession = ReturnType<typeof createFindSession>

/** What a credential leads to, from the log: there is no second table of what was issued. */
export function createFindSession({ knex }: Pick<Database, 'knex'>) {
  const live = (session: StoredSession | undefined, known: Snapshot, now: Date): StoredSession | undefined =>
    session && stands(known, session) && !blockOf(known, session, now) ? session : undefined

  const byId = async (id: string | undefined, known: Snapshot, now: Date): Promise<StoredSession | undefined> =>
    id === undefined ? undefined : live(await sessionById(knex, id, now), known, now)

  async function token(hash: Buffer, known: Snapshot, now: Date): Promise<LiveToken | undefined> {
    const found = await liveToken(knex, hash, now)
    if (!found || !counts(known, { accessToken: found.id })) return undefined
    return live(found.session, known, now) && found
  }

  return {
    token,
    async byAccessToken(hash: Buffer, known: Snapshot, now: Date) {
      const found = await token(hash, known, now)
      return found && { session: found.session, accessToken: found.id }
    },

    /** Whatever the connection's handshake said of it. */
    async byCertificate(serialNumber: string, known: Snapshot, now: Date) {
      const entry = await findIssued(knex, { serialNumber })
      const shown = { serialNumber, keyId: entry?.issued.x509?.keyId ?? '' }
      const session = counts(known, shown) ? await byId(entry?.actor.session, known, now) : undefined
      return session && { session, ...shown }
    },

    /**
     * The session that a JWT of ours was issued to. Nothing also for one that the log doesn't know: a key of ours signed
     * it where nobody recorded it.
     */
    async byJwt(jti: string, known: Snapshot, now: Date) {
      if (known.blocks.has(blockKey('jti', jti))) return undefined
      return byId((await findIssued(knex, { jti }))?.actor.session, known, now)
    },
  }
}
