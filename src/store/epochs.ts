/** How an epoch of the log ends, and whether it is open. */
import type { Knex } from 'knex'

/** The signed head that an epoch ended with; nothing for the present epoch, and for one that never was. */
export async function readLastNote(knex: Knex, epoch: number): Promise<string | undefined> {
  // The next one need not be the next number: an epoch may have been lost with the database that had it.
  const row: { previous_note: string | null } | undefined = await knex('log_epoch as next')
    .select('next.previous_note')
    .whereRaw('next.epoch = (select min(epoch) from log_epoch where epoch > ?)', [epoch])
    .whereExists(knex('log_epoch').where({ epoch }))
    .first()
  return row?.previous_note ?? undefined
}

/** Under the head lock, with no server on the database: the log goes on in a new epoch, without entries, and closed. */
export async function startEpoch(
  tx: Knex.Transaction,
  next: { epoch: number; origin: string; reason: string; previousNote: string; now: Date },
): Promise<void> {
  await tx('log_epoch').insert({
    epoch: next.epoch,
    origin: next.origin,
    reason: next.reason,
    started_at: next.now,
    previous_note: next.previousNote,
  })
  await tx('log_head').update({
    epoch: next.epoch,
    size: 0,
    issuing: false,
    closed_reason: null,
    closed_at: null,
    server: tx.raw('case when server is null then null else log_server() end'),
    synchronous: false,
  })
}

/** Under the head lock. */
export const openIssuing = (tx: Knex.Transaction): Promise<unknown> => tx('log_head').update({ issuing: true })

/** Closes the log for every replica. It appends nothing, so it works on a log that contradicts what was signed. */
export async function closeLog(knex: Knex, { epoch, reason }: { epoch: number; reason: string }): Promise<void> {
  await knex('log_head')
    .where({ epoch })
    .whereNull('closed_reason')
    .update({ issuing: false, closed_reason: reason, closed_at: knex.fn.now() })
  await knex.raw(`select pg_notify('purser_revision', '')`)
}

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
