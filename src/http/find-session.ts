/** The session behind a credential that a caller presents. Revocation is asked each time. */
import { blockOf } from '../authorize/session.ts'
import { stands } from '../authorize/standing.ts'
import type { Database } from '../store/database.ts'
import { blockKey } from '../store/snapshot-tables.ts'
import { type StoredSession, sessionById, sessionByToken } from '../store/sessions.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { FindSession } from './caller.ts'
import { findRecorded } from './recorded.ts'

/** The session that a certificate was issued to, from the log: there is no second table of what was issued. */
export function createFindSession(db: Pick<Database, 'knex'>): FindSession {
  const live = (session: StoredSession | undefined, known: Snapshot, now: Date): StoredSession | undefined =>
    session && stands(known, session) && !blockOf(known, session, now) ? session : undefined

  return {
    byAccessToken: async (hash, known, now) => live(await sessionByToken(db.knex, hash, now), known, now),
    async byCertificate(serialNumber, known, now) {
      if (known.blocks.has(blockKey('serialNumber', serialNumber))) return undefined
      const [entry] = await findRecorded(db.knex, [`serialNumber=${serialNumber}`], 1)
      const id = entry?.actor.session
      return id === undefined ? undefined : live(await sessionById(db.knex, id, now), known, now)
    },
  }
}
