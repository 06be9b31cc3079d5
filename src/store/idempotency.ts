/** Outcomes of requests by their `Idempotency-Key`: what the first request did, but never its reply. */
import type { Knex } from 'knex'

export type StoredOutcome = {
  /** HMAC-SHA-256 of the client's key and the body, under the MAC key. */
  request: Buffer
  status: number
  resourceId?: string
  epoch: number
  index: number
}

type Row = { request: Buffer; status: number; resource_id: string | null; log_epoch: number; log_idx: string }

/**
 * Reserves a key in the transaction of the request. Another request with the same key waits here until that transaction
 * ends. An expired key counts as new.
 * @returns the outcome of the earlier request, or undefined when this request is the first
 */
export async function reserveKey(
  tx: Knex.Transaction,
  key: Buffer,
  request: Buffer,
  now: Date,
  until: Date,
): Promise<StoredOutcome | undefined> {
  const reserved = await tx.raw<{ rows: unknown[] }>(
    `insert into idempotency (key, request, status, log_epoch, log_idx, showed_once, until)
     values (?, ?, 0, 0, 0, false, ?)
     on conflict (key) do update set request = excluded.request, resource_id = null, until = excluded.until
     where idempotency.until <= ?
     returning key`,
    [key, request, until, now],
  )
  if (reserved.rows.length > 0) return undefined
  const row: Row | undefined = await tx('idempotency').where({ key }).first()
  if (!row) return undefined
  return {
    request: row.request,
    status: row.status,
    ...(row.resource_id !== null && { resourceId: row.resource_id }),
    epoch: row.log_epoch,
    index: Number(row.log_idx),
  }
}

/** Stores the outcome of the request that reserved the key. */
export const storeOutcome = (
  tx: Knex.Transaction,
  key: Buffer,
  outcome: Omit<StoredOutcome, 'request'> & { showedOnce: boolean },
): Promise<unknown> =>
  tx('idempotency')
    .where({ key })
    .update({
      status: outcome.status,
      resource_id: outcome.resourceId ?? null,
      log_epoch: outcome.epoch,
      log_idx: outcome.index,
      showed_once: outcome.showedOnce,
    })
