/** Who has this database open as a server. Each holds a shared lock for as long as its LISTEN connection lives. */
import type { Knex } from './database.ts'

/** Any number that nobody else uses: "pser" in ASCII. */
export const serversLock = 0x70736572

/**
 * For the rest of the transaction: no server is on this database, and none can come. The embedded store is one process's
 * anyway.
 * @returns false where a server is running
 */
export async function excludeServers(tx: Knex.Transaction): Promise<boolean> {
  const { rows } = await tx.raw<{ rows: { alone: boolean }[] }>('select pg_try_advisory_xact_lock(?) as alone', [
    serversLock,
  ])
  return rows[0]?.alone === true
}
