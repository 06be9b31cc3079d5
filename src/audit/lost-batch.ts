/** Batches whose answer was lost are looked up, never guessed (DESIGN.md, The log). */
import { setTimeout as pause } from 'node:timers/promises'
import { refuse } from '../errors.ts'
import { type Knex, isConnectionError, isLockTimeout } from '../store/database.ts'
import { endSilentAppends, resolveBatch } from '../store/log.ts'

/** Milliseconds that anybody waits for Postgres to answer again, and a change for its turn. */
export const patience = 5_000

export const logUnavailable = (): Error => refuse('log_unavailable', { retryAfterSeconds: 2 })

/**
 * Runs `work` until it ends without trouble on the way to Postgres.
 * @param until the time, by `now`, after which nobody waits for it any more
 * @throws Refusal `log_unavailable` then, and whatever else `work` throws
 */
export async function retryUntil<T>(
  knex: Knex,
  work: () => Promise<T>,
  { until, now }: { until: number; now: () => number },
): Promise<T> {
  for (let wait = 20; now() < until; wait = Math.min(wait * 2, 500)) {
    try {
      return await work()
    } catch (error) {
      if (isLockTimeout(error)) await freeHead(knex)
      else if (!isConnectionError(error)) throw error
      await pause(wait)
    }
  }
  throw logUnavailable()
}

/** After a wait for the head lock that was too long: its holder may be gone without the server knowing. */
export const freeHead = (knex: Knex): Promise<unknown> => endSilentAppends(knex).catch(() => undefined)

/** Index by leaf of what was appended; the rest never will be, whatever may still be on its way. */
export const resolveLostBatch = (
  knex: Knex,
  lost: Parameters<typeof resolveBatch>[1],
  patience: { until: number; now: () => number },
): Promise<Map<string, number>> => retryUntil(knex, () => resolveBatch(knex, lost), patience)
