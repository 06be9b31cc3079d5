/** Connects to the first of several hosts that accepts writes, in order, as libpq does. */
import { Client, type ClientConfig } from 'pg'
import { databaseHosts } from '../names/database-url.ts'
import { isConnectionError } from './database.ts'

export type Connector = {
  /** @throws NoHost with the failure of each host; the original error for a single host that need not accept writes */
  connect: () => Promise<Client>
  /** Called when a host stops answering: the next connection starts with another host. */
  distrust: () => void
}

/** SQLSTATE class 08 (connection exception): sqlclient_unable_to_establish_sqlconnection. */
const unable = '08001'

class ReadOnlyHost extends Error {
  readonly code = unable
}

/** No host of the list is reachable and accepts writes. */
export class NoHost extends Error {
  /** The message contains host names and codes only. */
  readonly safeToLog = true
  override readonly name = 'NoHost'
  readonly code = unable
}

/** Milliseconds for all hosts together, and the minimum for each. */
const [patience, minPatience] = [5_000, 2_000]

export function createConnector(url: string, settings: ClientConfig): Connector {
  const { urls, wantsWritable } = databaseHosts(url)
  const connectionTimeoutMillis = Math.max(patience / urls.length, minPatience)
  /** Index of the host that accepted the last connection. It is tried first. */
  let first = 0

  async function connectTo(connectionString: string): Promise<Client> {
    const client = new Client({ ...settings, connectionTimeoutMillis, connectionString })
    client.on('error', () => undefined)
    try {
      await client.connect()
      if (wantsWritable && !(await takesWrites(client))) throw new ReadOnlyHost()
      return client
    } catch (error) {
      void client.end().catch(() => undefined)
      throw error
    }
  }

  return {
    async connect() {
      const failures: string[] = []
      for (const url of [...urls.slice(first), ...urls.slice(0, first)]) {
        try {
          const client = await connectTo(url)
          first = urls.indexOf(url)
          return client
        } catch (error) {
          // As in libpq, a host that refuses the role or the password ends the search: the next host would hide the reason.
          if (!isConnectionError(error) || !wantsWritable) throw error
          failures.push(`${new URL(url).host} (${reasonOf(error)})`)
        }
      }
      throw new NoHost(`no host takes writes: ${failures.join(', ')}`)
    },
    distrust: () => void (first = (first + 1) % urls.length),
  }
}

async function takesWrites(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ closed: boolean }>(
    `select pg_is_in_recovery() or current_setting('transaction_read_only')::bool as closed`,
  )
  return rows[0]?.closed === false
}

function reasonOf(error: unknown): string {
  if (error instanceof ReadOnlyHost) return 'read-only'
  return error instanceof Error && 'code' in error ? String(error.code) : 'no answer in time'
}
