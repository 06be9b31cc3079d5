/**
 * The client of other people's databases. Bounded in time whatever the other side does; verified by TLS unless it is on
 * this machine; nothing of Purser's own environment (PGHOST, .pgpass and so on) has a say.
 */
import { type ConnectionOptions, checkServerIdentity } from 'node:tls'
import { Client } from 'pg'
import type { Target, TargetTls } from './definition.ts'
import { TargetError, targetError } from './target-error.ts'

export type Credential = { username: string; password: string }

export type Row = Record<string, unknown>

/** A connection to a target, as far as anything here needs it. */
export type SqlSession = {
  /** One statement, by the extended protocol: a second one in the same text is a syntax error. */
  run(sql: string, values?: unknown[]): Promise<Row[]>
  /** In one transaction. */
  together<T>(work: () => Promise<T>): Promise<T>
}

/**
 * Milliseconds. `whole`: no statement begins later. Setting a value and taking it back are two connections, and with both
 * an effect ends before another replica may take it for dead (jobs/rotation-attempt.ts).
 */
const limits = { connect: 5_000, answer: 15_000, statement: 10_000, lock: 5_000, whole: 30_000 }

/** `verify-full` of libpq: the chain and the name; a name of its own where the host is an address or an alias. */
function tlsOf(host: string, { caPem, serverName, insecure }: TargetTls = {}): ConnectionOptions | false {
  if (insecure) return false
  return {
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    ...(caPem !== undefined && { ca: caPem }),
    checkServerIdentity: (_, certificate) => checkServerIdentity(serverName ?? host, certificate),
  }
}

/** What the server warns of and does not do: a GRANT that granted nothing (01007) is no error to Postgres. */
const unfinished = new Set(['01006', '01007'])

/**
 * Opens a connection, works, and closes it.
 * @throws TargetError; whatever `work` throws that isn't Postgres's own
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
  // Told by the statement that runs; without a listener an error between two of them would end the process.
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
    async together(inside) {
      await run('begin')
      try {
        const done = await inside()
        await run('commit')
        return done
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
    // After the connection rather than with it: a pooler in between refuses parameters that it doesn't know.
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

/** A server that says nothing any more must not be waited for. */
async function close(client: Client): Promise<void> {
  const ended = client.end().catch(() => undefined)
  let timer: NodeJS.Timeout | undefined
  const tired = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, 1_000)
    timer.unref()
  })
  await Promise.race([ended, tired])
  clearTimeout(timer)
}
