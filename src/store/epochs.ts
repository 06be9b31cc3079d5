/** The start and the end of an epoch of the log. */
import type { Knex } from 'knex'
import { columnsOf } from './columns.ts'

/** The last signed head of an ended epoch; undefined for the present epoch and for one that never existed. */
export async function readLastNote(knex: Knex, epoch: number): Promise<string | undefined> {
  // Numbers may be missing: an epoch may have been lost together with its database.
  const row: { previous_note: string | null } | undefined = await knex('log_epoch as next')
    .select('next.previous_note')
    .whereRaw('next.epoch = (select min(epoch) from log_epoch where epoch > ?)', [epoch])
    .whereExists(knex('log_epoch').where({ epoch }))
    .first()
  return row?.previous_note ?? undefined
}

/** Starts an epoch without entries, closed for issuing. Requires the head lock, and that no server uses the database. */
export async function startEpoch(
  tx: Knex.Transaction,
  next: { epoch: number; origin: string; reason: string; previousNote: string; startedAt: Date },
): Promise<void> {
  await tx('log_epoch').insert(columnsOf(next))
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

/** Requires the head lock. */
export const openIssuing = (tx: Knex.Transaction): Promise<unknown> => tx('log_head').update({ issuing: true })

/** Closes the log for every replica. It appends nothing, so it also works on a log that contradicts its signed heads. */
export async function closeLog(knex: Knex, { epoch, reason }: { epoch: number; reason: string }): Promise<void> {
  await knex('log_head')
    .where({ epoch })
    .whereNull('closed_reason')
    .update({ issuing: false, closed_reason: reason, closed_at: knex.fn.now() })
  await knex.raw(`select pg_notify('purser_revision', '')`)
}

/** An advisory lock of the first start: "pfst" in ASCII. */
const firstStartLock = 0x70667374

/** Serializes first starts: of several replicas one continues, the others wait until its transaction ends. */
export const lockFirstStart = (tx: Knex.Transaction): Promise<unknown> =>
  tx.raw('select pg_advisory_xact_lock(?)', [firstStartLock])

/** Inserts the head row, which identifies the deployment, and the first epoch. */
export async function insertFirstHead(
  tx: Knex.Transaction,
  head: { instanceId: string; trustDomain: string; issuer: string; origin: string; now: Date },
): Promise<void> {
  const { instanceId, trustDomain, issuer, origin, now } = head
  await tx('log_head').insert({ instance_id: instanceId, trust_domain: trustDomain, issuer, epoch: 1 })
  await tx('log_epoch').insert({ epoch: 1, origin, reason: 'first start', started_at: now })
}
