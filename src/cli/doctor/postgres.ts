/** Whether this Postgres can keep Purser's promises, and what stands between it and Purser. */
import type { Config } from '../../config.ts'
import { isLoopback } from '../../config/values.ts'
import { databaseHosts } from '../../names/database-url.ts'
import type { Knex } from '../../store/database.ts'
import { openPostgres } from '../../store/postgres.ts'
import { type PostgresFacts, readBackend, readClock, readPostgresFacts } from '../../store/postgres-facts.ts'
import { type Finding, fail, note, ok, some, warn } from './finding.ts'

const check = 'database'

export async function lookAtPostgres(knex: Knex, { database }: Config): Promise<Finding[]> {
  const facts = await readPostgresFacts(knex)
  const url = database.kind === 'postgres' ? database.url.reveal() : ''
  const medianMs = await measureRoundTrips(knex)
  const findings = [
    ...judgeServer(facts),
    ...judgeStandbys(facts),
    ...databaseHosts(url).urls.flatMap((host) => judgeWay(facts, new URL(host))),
    ...judgePooler(await backendsOfTwo(url)),
    ...judgeLatency(medianMs),
  ]
  return [...findings, ok(check, `PostgreSQL ${facts.version}, ${medianMs.toFixed(1)} ms a round trip`)]
}

export function judgeServer(facts: PostgresFacts): Finding[] {
  const findings: Finding[] = []
  if (facts.versionNumber < 140_000) {
    const why = 'the server refuses to start on it: it uses what PostgreSQL 14 brought'
    findings.push(
      fail(check, `this is PostgreSQL ${facts.version}, and 14 or newer is needed`, { why, do: 'upgrade it' }),
    )
  }
  if (facts.standby) {
    const remedy = 'point DATABASE_URL at the primary, or list its hosts: postgres://user@host1:5432,host2:5432/purser'
    findings.push(fail(check, 'this is a standby: it takes no writes', { why: writes, do: remedy }))
  }
  if (facts.readOnly) {
    const remedy = `alter role ${facts.role} reset default_transaction_read_only; also look at the database's settings`
    findings.push(fail(check, 'default_transaction_read_only is on for this role', { why: writes, do: remedy }))
  }
  if (!facts.fsync) {
    const why = 'a crash may lose entries whose credentials are out: promise 1. The server refuses to start'
    findings.push(fail(check, 'fsync is off', { why, do: setting('fsync') }))
  }
  if (!facts.fullPageWrites) {
    const why = 'after a power loss half-written pages stay, unless the file system writes whole ones (ZFS)'
    findings.push(warn(check, 'full_page_writes is off', { why, do: setting('full_page_writes') }))
  }
  return findings
}

const writes = 'no entry can be written, so nothing is issued'
const setting = (name: string): string => `as a superuser: alter system set ${name} = on; select pg_reload_conf()`

/** A role without pg_monitor sees that somebody streams, and not whether commits wait for it. */
export function judgeStandbys({ standbys, waitsFor }: PostgresFacts): Finding[] {
  const names = some(standbys.map(({ name }) => name ?? 'unnamed'))
  const why =
    'what an asynchronous standby had not received when it takes over is lost, and credentials without an entry are out: promise 1'
  const remedy = "as a superuser: alter system set synchronous_standby_names = 'ANY 1 (*)'; select pg_reload_conf()"
  if (waitsFor === '') {
    if (standbys.length === 0) return []
    return [warn(check, `its standby is asynchronous (${names})`, { why, do: remedy })]
  }
  const unknown = standbys.some(({ sync }) => sync === null)
  const waits = standbys.some(({ sync }) => sync === 'sync' || sync === 'quorum')
  if (waits || unknown) return []
  const stuck = `commits wait for ${waitsFor}, and no such standby is connected`
  return [
    fail(check, stuck, { why: writes, do: 'start the standby, or take its name out of synchronous_standby_names' }),
  ]
}

/** Whether others on the way can read or change what is sent. */
export function judgeWay({ encrypted }: Pick<PostgresFacts, 'encrypted'>, url: URL): Finding[] {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  // A host in a parameter is a folder with a socket, or overrides the one in the URL.
  const given = url.searchParams.get('host') ?? host
  if (given === '' || given.startsWith('/') || isLoopback(given)) return []
  const remedy = 'add ?sslmode=verify-full&sslrootcert=/path/to/root.pem to DATABASE_URL'
  if (!encrypted) {
    const why = 'whoever is on the way can read names and history, and change what is stored'
    return [warn(check, `the connection to ${given} is not encrypted`, { why, do: remedy })]
  }
  const mode = url.searchParams.get('sslmode')
  const compatible = url.searchParams.get('uselibpqcompat') === 'true'
  if (mode !== 'no-verify' && !(compatible && mode !== 'verify-full')) return []
  const why = 'whoever is on the way can pose as the database'
  return [warn(check, `the connection to ${given} is encrypted, and nobody verifies who answers`, { why, do: remedy })]
}

/**
 * Two connections that are open at once and answered by one process: something between hands out server connections by
 * the transaction.
 */
async function backendsOfTwo(url: string): Promise<[number, number]> {
  const both = [1, 2].map(() => openPostgres({ url, applicationName: 'purser doctor', poolMax: 1 }))
  try {
    const [first, second] = both
    return [first ? await readBackend(first.knex) : 0, second ? await readBackend(second.knex) : 0]
  } finally {
    await Promise.all(both.map((database) => database.close()))
  }
}

export function judgePooler([first, second]: [number, number]): Finding[] {
  if (first !== second) return []
  return [
    fail(check, 'a pooler hands connections out by the transaction', {
      why: 'settings of a session and LISTEN are lost: synchronous_commit, time limits, and news of revocations',
      do: 'point DATABASE_URL at Postgres itself, or set pool_mode = session in pgbouncer.ini',
    }),
  ]
}

async function measureRoundTrips(knex: Knex): Promise<number> {
  const took: number[] = []
  for (let n = 0; n < 9; n++) {
    const before = performance.now()
    await readClock(knex)
    took.push(performance.now() - before)
  }
  return took.sort((a, b) => a - b)[4] ?? 0
}

/** Milliseconds, the median. An issuance waits for one commit at least. */
export function judgeLatency(median: number): Finding[] {
  const what = `a round trip takes ${median.toFixed(0)} ms`
  const why = 'each issuance waits for at least one'
  const remedy = 'run Purser near its database: same region, same zone'
  if (median >= 50) return [warn(check, what, { why, do: remedy })]
  return median >= 10 ? [note(check, what, { why, do: remedy })] : []
}
