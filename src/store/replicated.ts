/** Confirms that a synchronous standby has the commits that this process reads. */
import type { Knex } from './database.ts'
import { type Head, readHead } from './log.ts'

/**
 * Commits under the head lock in one round trip, as an append does. When it returns, appends work, and a synchronous
 * standby has everything that was committed before.
 */
export const confirmCommits = (knex: Knex): Promise<unknown> => knex('log_head').select('size').forUpdate()

/** As `confirmCommits`, but only where commits wait for a standby. Returns the size of the log under the lock. */
async function confirmAtStandby(knex: Knex): Promise<number> {
  const rows: { size: string }[] = await knex('log_head')
    .select('size')
    .whereRaw(`current_setting('synchronous_standby_names') <> ''`)
    .forUpdate()
  return Number(rows[0]?.size ?? 0)
}

/**
 * Reads the head row and confirms that a new head is at the synchronous standby. Without this, a commit is readable even
 * though its wait for the standby was cancelled or the server restarted. Concurrent reads share one confirmation.
 * @param acknowledged the size that this process knows from acknowledged COMMITs
 */
export function createReplicatedHead(knex: Knex, acknowledged: () => number): () => Promise<Head | undefined> {
  let confirmed: number | undefined
  let turn: Promise<unknown> = Promise.resolve()

  async function confirm({ size }: Head): Promise<void> {
    if (confirmed !== undefined && size <= Math.max(acknowledged(), confirmed)) return
    confirmed = Math.max(size, await confirmAtStandby(knex))
  }

  return async () => {
    const head = await readHead(knex)
    if (!head) return undefined
    const result = turn.then(() => confirm(head))
    turn = result.catch(() => undefined)
    await result
    return head
  }
}
