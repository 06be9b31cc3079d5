/**
 * The service `orders`: a connection pool with the credential from the secret, constant queries, and a new pool when the
 * secret gets a new version. The code in a container is the same.
 */
import { setTimeout } from 'node:timers/promises'
import type { Purser, Secret } from '@purser/sdk'
import { Pool } from 'pg'
import { type Database, canLogIn } from './database.ts'

export const credentialIn = ({ data }: Secret): { username: string; password: string } => ({
  username: String(data.username),
  password: String(data.password),
})

/** Concurrent queries. */
const lanes = 2

export async function startService(database: Database, purser: Purser, path: string) {
  /** Successful queries by role. */
  const queriesByRole = new Map<string, number>()
  const errors: string[] = []
  /** Each switch to a new credential, in order. */
  const moves: { from: string; to: string; oldStillWorked: boolean }[] = []
  const total = (): number => [...queriesByRole.values()].reduce((sum, count) => sum + count, 0)
  const stopping = new AbortController()
  const fail = (error: unknown): void => void errors.push(error instanceof Error ? error.message : 'unknown')

  function open(secret: Secret): Pool {
    const { username: user, password } = credentialIn(secret)
    const { host, port, database: name } = database
    const pool = new Pool({ host, port, database: name, user, password, max: lanes, query_timeout: 10_000 })
    // An idle connection that breaks counts as an error.
    pool.on('error', (error) => {
      if (!stopping.signal.aborted) fail(error)
    })
    return pool
  }

  let secret = await purser.secrets.get(path)
  let pool = open(secret)

  const watch = purser.secrets.watch(path, async (next) => {
    const [before, from, to] = [pool, credentialIn(secret), credentialIn(next)]
    const fresh = open(next)
    await fresh.query('select 1')
    moves.push({ from: from.username, to: to.username, oldStillWorked: await canLogIn(database, from) })
    ;[secret, pool] = [next, fresh]
    // Waits for running queries. When this promise resolves, the SDK acknowledges the version.
    await before.end()
  })

  async function lane(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        const { rows } = await pool.query<{ role: string }>(
          `select current_user as role, count(*) from ${database.name}.item`,
        )
        const role = rows[0]?.role ?? ''
        queriesByRole.set(role, (queriesByRole.get(role) ?? 0) + 1)
      } catch (error) {
        fail(error)
      }
      await setTimeout(5)
    }
  }
  const running = Array.from({ length: lanes }, lane)

  return {
    answered: queriesByRole,
    total,
    errors,
    moves,
    /** Waits for this many more queries. */
    async serve(count: number): Promise<void> {
      const until = total() + count
      while (total() < until && errors.length === 0) await setTimeout(10)
    },
    async stop(): Promise<void> {
      stopping.abort()
      watch.close()
      await Promise.all(running)
      await pool.end()
    },
  }
}
