/** Deletes rows some time after their end: claims, tokens, idempotency keys, sessions, blocks, approvals, lost batches, leases. */
import type { Database } from '../store/database.ts'
import { tryLock } from '../store/jobs.ts'
import type { Snapshots } from '../store/snapshot.ts'
import { approvalRetentionMs } from '../store/approvals.ts'
import { type SweptTable, deleteExpired, sweptTables } from '../store/sweep.ts'
import type { Job } from './runner.ts'

export type SweepParts = {
  db: Pick<Database, 'kind' | 'knex'>
  snapshots: Pick<Snapshots, 'forgetEnded'>
  now: () => Date
}

/** "pswp" in ASCII. */
const sweepLock = 0x70737770
const hour = 3600_000

/**
 * Kept for so long after their end, in milliseconds. A session's id is derived from its instance: forgotten early, an
 * instance that comes back would get the id of one that ended.
 */
const keptFor: Record<SweptTable, number> = {
  claim: hour,
  access_token: 24 * hour,
  idempotency: hour,
  session: 90 * 24 * hour,
  join_token: 30 * 24 * hour,
  block: 24 * hour,
  approval: approvalRetentionMs,
  // A statement that arrives later than this would have outlived its connection (store/postgres.ts) by far.
  lost_batch: 24 * hour,
  // Listed for a while after their end. A bootstrap token stays at least as long as the API token that it made lives.
  api_token: 30 * 24 * hour,
  bootstrap_token: 30 * 24 * hour,
  // Longer than the longest window in which attempts are counted.
  tries: 2 * hour,
  lease: 30 * 24 * hour,
}

/** Rows in one statement. */
const page = 500
/**
 * Statements a table in one run. On the embedded store each stops everything else. On PostgreSQL they delete 200,000 rows a
 * minute, more than one database issues.
 */
const maxPages = { embedded: 20, postgres: 400 }

export function sweep({ db, snapshots, now }: SweepParts): Job {
  const endOf = (table: SweptTable): Date => new Date(now().getTime() - keptFor[table])

  /** @returns whether more may be left */
  const sweepPage = (table: SweptTable): Promise<boolean> =>
    db.knex.transaction(async (tx) => {
      if (!(await tryLock(tx, sweepLock))) return false
      return (await deleteExpired(tx, table, endOf(table), page)) === page
    })

  return {
    name: 'sweep',
    everySeconds: 60,
    async run() {
      for (const table of sweptTables) {
        for (let pages = 0; pages < maxPages[db.kind] && (await sweepPage(table)); pages++);
      }
      snapshots.forgetEnded({ blocks: endOf('block'), apiTokens: endOf('api_token') })
    },
  }
}
