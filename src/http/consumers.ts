/** Who holds a secret now: sessions, and readers without one. */
import type { Database } from '../store/database.ts'
import { type Consumer, type ConsumersOf } from '../secrets/rotation/consumers.ts'
import { listRotations } from '../store/rotations.ts'
import type { SecretRow } from '../store/rows.ts'
import { type ListParts, createPages } from './lists.ts'
import { secretOf } from '../actions/secrets/live.ts'
import { pathOf } from './paths.ts'
import { findRecorded } from '../actions/recorded.ts'
import { showConsumer } from './rotation-view.ts'
import type { Read } from './route.ts'

export type ConsumerRouteParts = ListParts & {
  db: Pick<Database, 'knex'>
  consumersOf: ConsumersOf
  /** Whether a session is told of changes of a secret as they happen; nobody is, unless given. */
  isWatching?: (session: string, path: string) => boolean
}

/** Each is a look-up in the log: of more consumers, the addresses are what `purser audit search` is for. */
const maxAddresses = 200

export function createConsumerRoute(parts: ConsumerRouteParts): Read {
  const { db, consumersOf, isWatching = () => false } = parts
  const page = createPages(parts)

  /** Where the last fetch that the log has came from. */
  async function addressOf({ holder, session }: Consumer, { path }: SecretRow): Promise<string | undefined> {
    const who = session ? `session=${session.id}` : `actor=${holder.replace(/^operator:/, '')}`
    const [entry] = await findRecorded(db.knex, [who, `path=${path}`, 'outcome=granted'], 1)
    return entry?.source?.ip
  }

  return async (request, snapshot) => {
    const secret = secretOf(pathOf(request).path, snapshot)
    const [last] = await listRotations(db.knex, secret.id, 1)
    const running = last?.endedAt ? undefined : last
    const rows = await consumersOf(secret, running, snapshot, request.time)
    const addresses = new Map<string, string | undefined>()
    if (rows.length <= maxAddresses) for (const row of rows) addresses.set(row.holder, await addressOf(row, secret))
    const show = (row: Consumer) =>
      showConsumer(row, snapshot, {
        address: addresses.get(row.holder),
        watching: row.session !== undefined && row.standing === 'live' && isWatching(row.session.id, secret.path),
      })
    return page(request, snapshot, { list: `consumers/${secret.id}`, rows, keyOf: (row) => row.holder, show })
  }
}
