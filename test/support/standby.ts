/**
 * A primary with a streaming standby, as a fail-over needs them: real servers, which can be killed, frozen and
 * promoted.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { startOwn } from '../../src/cli/demo/postgres/own.ts'
import type { OwnPostgres } from './postgres.ts'

const run = promisify(execFile)

export type StandbyPair = {
  primary: OwnPostgres
  standby: OwnPostgres
  /** One statement at the primary or the standby, as a superuser; `url` names another database. */
  sql<Row extends object = Record<string, unknown>>(server: { url: string }, text: string): Promise<Row[]>
  /** Makes commits wait for the standby from now on, or no longer. */
  setSynchronous(synchronous: boolean): Promise<void>
  /** Resolves once the standby has replayed all that the primary has written. */
  caughtUp(): Promise<void>
  /** SIGSTOP to the standby and each of its processes: it neither receives nor acknowledges. */
  freeze(): Promise<void>
  /** SIGCONT. */
  thaw(): Promise<void>
  /** The standby becomes a primary. */
  promote(): Promise<void>
  stop(): Promise<void>
}

export const standbyName = 'purser_standby'

/** The folder of a server with pg_basebackup, which the Postgres of node_modules lacks. */
export const standbyNative = (): string | undefined => {
  const native = process.env['PURSER_TEST_POSTGRES']
  return native !== undefined && existsSync(join(native, 'bin', 'pg_basebackup')) ? native : undefined
}

async function sql<Row extends object>({ url }: { url: string }, text: string): Promise<Row[]> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
  client.on('error', () => undefined)
  await client.connect()
  try {
    return (await client.query<Row>(text)).rows
  } finally {
    await client.end()
  }
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await pause(50)
}

/** Postgres gives each process its own session, so a signal to a group does not reach all of them. */
async function signalAll(server: OwnPostgres, signal: 'SIGSTOP' | 'SIGCONT'): Promise<void> {
  const { stdout } = await run('pgrep', ['-P', String(server.pid())])
  for (const pid of [server.pid(), ...stdout.trim().split('\n').map(Number)]) {
    try {
      process.kill(pid, signal)
    } catch (error) {
      // An ended process needs no signal: a receiver ends when it wakes without its primary.
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
    }
  }
}

/** @param native a folder with `bin/postgres`, `bin/initdb` and `bin/pg_basebackup` */
export async function startStandbyPair(
  native: string,
  { synchronous }: { synchronous: boolean },
): Promise<StandbyPair> {
  const options = { env: process.env, native, settings: { wal_level: 'replica', max_wal_senders: '5' } }
  const primary = await startOwn(options)
  const standby = await startOwn({ ...options, primary: `${primary.url}?application_name=${standbyName}` }).catch(
    async (error: unknown) => {
      await primary.stop()
      throw error
    },
  )

  async function setSynchronous(isSynchronous: boolean): Promise<void> {
    await sql(primary, `alter system set synchronous_standby_names = '${isSynchronous ? standbyName : ''}'`)
    await sql(primary, 'select pg_reload_conf()')
    const state = isSynchronous ? 'sync' : 'async'
    await until(
      async () => (await sql(primary, `select from pg_stat_replication where sync_state = '${state}'`)).length > 0,
    )
  }
  const thaw = (): Promise<void> => signalAll(standby, 'SIGCONT')

  const pair: StandbyPair = {
    primary,
    standby,
    sql,
    setSynchronous,
    async caughtUp() {
      const [row] = await sql<{ at: string }>(primary, 'select pg_current_wal_lsn()::text as at')
      const replayed = `select from (select pg_last_wal_replay_lsn() as at) t where at >= '${row?.at ?? ''}'`
      await until(async () => (await sql(standby, replayed)).length > 0)
    },
    freeze: () => signalAll(standby, 'SIGSTOP'),
    thaw,
    promote: async () => void (await sql(standby, 'select pg_promote()')),
    async stop() {
      // A primary that shuts down waits for a standby that is connected.
      if (standby.pid() !== 0) await thaw()
      await standby.stop()
      await primary.stop()
    },
  }
  await setSynchronous(synchronous)
  return pair
}
