/**
 * The client of target databases. Every step has a time limit; TLS verifies the server unless it is on this machine;
 * Purser's own environment (PGHOST, .pgpass and so on) is ignored.
 */
import { type ConnectionOptions, checkServerIdentity } from 'node:tls'
import { Client } from 'pg'
import type { Target, TargetTls } from './definition.ts'
import { TargetError, targetError } from './target-error.ts'

export type Credential = { username: string; password: string }

export type Row = Record<string, unknown>

/** A connection to a target. */
export type SqlSession = {
  /** Runs one statement by the extended protocol: a second statement in the text is a syntax error. */
  run(sql: string, values?: unknown[]): Promise<Row[]>
  /** Runs work in one transaction. */
  together<T>(work: () => Promise<T>): Promise<T>
}

/**
 * Milliseconds. `whole`: no statement begins later. Setting a value and taking it back use two connections: an effect
 * with both ends within its claim (jobs/rotation-attempt.ts).
 */
const limits = { connect: 5_000, answer: 15_000, statement: 10_000, lock: 5_000, whole: 30_000 }

/** Verifies chain and name, as libpq's `verify-full`. `serverName` replaces a host that is an address or an alias. */
function tlsOf(host: string, { caPem, serverName, insecure }: TargetTls = {}): ConnectionOptions | false {
  if (insecure) return false
  return {
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    ...(caPem !== undefined && { ca: caPem }),
    checkServerIdentity: (_, certificate) => checkServerIdentity(serverName ?? host, certificate),
  }
}

/** Warnings of statements without an effect: to Postgres a GRANT that grants nothing (01007) is no error. */
const unfinished = new Set(['01006', '01007'])

/**
 * Opens a connection, works, and closes it.
 * @throws TargetError; errors of `work` that are not Postgres's pass through
 */
export async function withConnection<T>(
  target: Target,
  { username, password }: Credential,
  work: (session: SqlSession) => Promise<T>,
): Promise<T> {
  const client = new Client({
    host: target.host,
    port: target.port,
    database: target.database,
    user: username,
    password,
    ssl: tlsOf(target.host, target.tls),
    connectionTimeoutMillis: limits.connect,
    query_timeout: limits.answer,
    application_name: 'purser',
    keepAlive: true,
  })
  // The running statement reports an error. Without a listener, one between two statements would end the process.
  client.on('error', () => undefined)
  const warnings: string[] = []
  const began = performance.now()
  client.on('notice', ({ code }) => {
    if (code !== undefined && unfinished.has(code)) warnings.push(code)
  })

  async function run(sql: string, values: unknown[] = []): Promise<Row[]> {
    if (performance.now() - began > limits.whole) throw new TargetError('failed', 'the server is slow')
    warnings.length = 0
    const query = { text: sql, values, queryMode: 'extended' }
    const { rows } = await client.query<Row>(query).catch((error: unknown) => {
      throw targetError(error)
    })
    const [warning] = warnings
    if (warning !== undefined) {
      throw new TargetError(
        'not_granted',
        `the administrative role may not grant what the definition names (${warning})`,
      )
    }
    return rows
  }

  const session: SqlSession = {
    run,
    async together(steps) {
      await run('begin')
      try {
        const result = await steps()
        await run('commit')
        return result
      } catch (error) {
        await run('rollback').catch(() => undefined)
        throw error
      }
    },
  }

  try {
    await client.connect().catch((error: unknown) => {
      throw targetError(error)
    })
    // Set after connecting: a pooler refuses startup parameters that it does not know.
    for (const [name, value] of [
      ['search_path', 'pg_catalog'],
      ['statement_timeout', String(limits.statement)],
      ['lock_timeout', String(limits.lock)],
      ['standard_conforming_strings', 'on'],
    ]) {
      await run('select set_config($1, $2, false)', [name, value])
    }
    return await work(session)
  } finally {
    await close(client)
  }
}

/** Whether the server takes a credential. @throws TargetError where that stays unknown */
export async function opens(target: Target, credential: Credential): Promise<boolean> {
  try {
    await withConnection(target, credential, (session) => session.run('select 1'))
    return true
  } catch (error) {
    if (error instanceof TargetError && error.fault === 'wrong_credential') return false
    throw error
  }
}

/** Waits a second at most: the server may no longer answer. */
async function close(client: Client): Promise<void> {
  const ended = client.end().catch(() => undefined)
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, 1_000)
    timer.unref()
  })
  await Promise.race([ended, timeout])
  clearTimeout(timer)
}
