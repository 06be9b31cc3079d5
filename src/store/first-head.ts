/** The row that says whose database it is, and the log's first epoch. */
import type { Knex } from './database.ts'

/** Any number that nobody else uses: "pfst" in ASCII. */
const firstStartLock = 0x70667374

/** Of replicas that start at once one goes on; the others wait until its transaction ends. */
export const lockFirstStart = (tx: Knex.Transaction): Promise<unknown> =>
  tx.raw('select pg_advisory_xact_lock(?)', [firstStartLock])

export async function insertFirstHead(
  tx: Knex.Transaction,
  head: { instanceId: string; trustDomain: string; issuer: string; origin: string; now: Date },
): Promise<void> {
  const { instanceId, trustDomain, issuer, origin, now } = head
  await tx('log_head').insert({ instance_id: instanceId, trust_domain: trustDomain, issuer, epoch: 1 })
  await tx('log_epoch').insert({ epoch: 1, origin, reason: 'first start', started_at: now })
}
