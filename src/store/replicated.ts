/** What a synchronous standby has for certain. */
import type { Knex } from './database.ts'
import { type Head, readHead } from './log.ts'

/**
 * Commits under the head lock in one round trip, as an append does: once it returns, appends are possible, and a
 * synchronous standby has all that was committed before.
 */
export const confirmCommits = (knex: Knex): Promise<unknown> => knex('log_head').select('size').forUpdate()

/** The same where commits wait for a standby, and nothing elsewhere. Answers the size of the log under the lock. */
async function confirmAtStandby(knex: Knex): Promise<number> {
  const rows: { size: string }[] = await knex('log_head')
    .select('size')
    .whereRaw(`current_setting('synchronous_standby_names') <> ''`)
    .forUpdate()
  return Number(rows[0]?.size ?? 0)
}

/**
 * Reads the head row. What is new in it is at the synchronous standby: another process may have read it although its wait
 * for the standby was cancelled, or the server was started anew meanwhile. Reads at the same time share one confirmation.
 * @param acknowledged the size that this process knows from COMMITs that were acknowledged
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
