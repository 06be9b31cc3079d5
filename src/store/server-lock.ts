/** The advisory lock of running servers. Each server shares it for as long as its LISTEN connection lives. */
import type { Knex } from './database.ts'

/** "pser" in ASCII. */
export const serversLock = 0x70736572

/**
 * Keeps servers off this database for the rest of the transaction. Only one process can open the embedded store anyway.
 * @returns false when a server is running
 */
export async function excludeServers(tx: Knex.Transaction): Promise<boolean> {
  const { rows } = await tx.raw<{ rows: { alone: boolean }[] }>('select pg_try_advisory_xact_lock(?) as alone', [
    serversLock,
  ])
  return rows[0]?.alone === true
}
