/** Looks up the outcome of batches whose answer was lost (docs/architecture.md, The log). */
import { setTimeout as pause } from 'node:timers/promises'
import { refuse } from '../errors.ts'
import { type Knex, isConnectionError, isLockTimeout } from '../store/database.ts'
import { endSilentAppends, resolveBatch } from '../store/log.ts'

/** Milliseconds that a request waits for Postgres to answer again, or a change for its turn. */
export const patience = 5_000

export const logUnavailable = (): Error => refuse('log_unavailable', { retryAfterSeconds: 2 })

/**
 * Retries `work` after connection errors and lock timeouts.
 * @param until the time, by `now`, after which it gives up
 * @throws Refusal `log_unavailable` after that time, and other errors of `work`
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

/** Runs after a timeout of the head lock: its holder may have vanished without notice of the server. */
export const freeHead = (knex: Knex): Promise<unknown> => endSilentAppends(knex).catch(() => undefined)

/** The index of each appended leaf. The other items of the batch can no longer be appended. */
export const resolveLostBatch = (
  knex: Knex,
  lost: Parameters<typeof resolveBatch>[1],
  patience: { until: number; now: () => number },
): Promise<Map<string, number>> => retryUntil(knex, () => resolveBatch(knex, lost), patience)
