/** What a synchronous standby has for certain. */
import type { Knex } from './database.ts'
import { type Head, lockHead, readHead } from './log.ts'

/**
 * Commits under the head lock, as an append does: once it returns, appends are possible, and a synchronous standby has all
 * that was committed before.
 */
export const confirmCommits = (knex: Knex): Promise<unknown> => knex.transaction(lockHead)

/**
 * Reads the head row. What is new in it is at the synchronous standby: another process may have read it although its wait
 * for the standby was cancelled, or the server was started anew meanwhile.
 * @param acknowledged the size that this process knows from COMMITs that were acknowledged
 */
export function createReplicatedHead(knex: Knex, acknowledged: () => number): () => Promise<Head | undefined> {
  let isFirst = true
  return async () => {
    const head = await readHead(knex)
    if (head && (isFirst || head.size > acknowledged())) await confirmCommits(knex)
    isFirst = false
    return head
  }
}
