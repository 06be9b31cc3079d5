/** Lists who holds a secret now: sessions, and readers without one. */
import { findRecorded } from '../../audit/find-entries.ts'
import type { Consumer, ConsumersOf } from '../../secrets/rotation/consumers.ts'
import type { Database } from '../../store/database.ts'
import { listRotations } from '../../store/rotations.ts'
import type { SecretRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { secretAt } from './state.ts'

export type ConsumerParts = {
  db: Pick<Database, 'knex'>
  consumersOf: ConsumersOf
}

export type ListedConsumer = Consumer & { address?: string }

/** Each address is a look-up in the log; `purser audit search` finds those of more consumers. */
const maxAddresses = 200

export function createListConsumers({ db, consumersOf }: ConsumerParts) {
  /** The address of the last fetch that the log has. */
  async function addressOf({ holder, session }: Consumer, { path }: SecretRow): Promise<string | undefined> {
    const reader = session ? `session=${session.id}` : `actor=${holder.replace(/^operator:/, '')}`
    const [entry] = await findRecorded(db.knex, [reader, `path=${path}`, 'outcome=granted'], 1)
    return entry?.source?.ip
  }

  return async (
    { time }: Context,
    snapshot: Snapshot,
    path: string,
  ): Promise<{ secret: SecretRow; consumers: ListedConsumer[] }> => {
    const secret = await secretAt(db.knex, path)
    const [last] = await listRotations(db.knex, secret.id, 1)
    const running = last?.endedAt ? undefined : last
    const rows = await consumersOf(secret, running, snapshot, time)
    const consumers: ListedConsumer[] = []
    for (const row of rows) {
      const address = rows.length <= maxAddresses ? await addressOf(row, secret) : undefined
      consumers.push({ ...row, ...(address !== undefined && { address }) })
    }
    return { secret, consumers }
  }
}
