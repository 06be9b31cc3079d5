/** Checks that this Postgres keeps committed entries, and the connection to it. */
import type { Config } from '../../config.ts'
import { isLoopback } from '../../config/values.ts'
import { databaseHosts } from '../../names/database-url.ts'
import type { Knex } from '../../store/database.ts'
import { openPostgres } from '../../store/postgres.ts'
import { type PostgresFacts, readBackend, readClock, readPostgresFacts } from '../../store/postgres-facts.ts'
import { type Finding, collect, fail, note, ok, some, warn } from './finding.ts'

const check = 'database'

export async function checkPostgres(knex: Knex, { database }: Config): Promise<Finding[]> {
  const facts = await readPostgresFacts(knex)
  const url = database.kind === 'postgres' ? database.url.reveal() : ''
  const medianMs = await measureRoundTrips(knex)
  const findings = [
    ...judgeServer(facts),
    ...judgeStandbys(facts),
    ...databaseHosts(url).urls.flatMap((host) => judgeEncryption(facts, new URL(host))),
    ...judgePooler(await backendsOfTwo(url)),
    ...judgeLatency(medianMs),
  ]
  return [...findings, ok(check, `PostgreSQL ${facts.version}, ${medianMs.toFixed(1)} ms per round trip`)]
}

export function judgeServer(facts: PostgresFacts): Finding[] {
  return collect(
    facts.versionNumber < 140_000 &&
      fail(check, `this is PostgreSQL ${facts.version}, but 14 or newer is needed`, {
        why: 'the server refuses to start: it needs features of PostgreSQL 14',
        do: 'upgrade PostgreSQL',
      }),
    facts.standby &&
      fail(check, 'this is a standby, which refuses writes', {
        why: writes,
        do: 'point DATABASE_URL at the primary, or list its hosts: postgres://user@host1:5432,host2:5432/purser',
      }),
    facts.readOnly &&
      fail(check, 'default_transaction_read_only is on for this role', {
        why: writes,
        do: `alter role ${facts.role} reset default_transaction_read_only; also check the settings of the database`,
      }),
    !facts.fsync &&
      fail(check, 'fsync is off', {
        why: 'a crash could lose entries of credentials that were issued, so the server refuses to start',
        do: remedyFor('fsync'),
      }),
    !facts.fullPageWrites &&
      warn(check, 'full_page_writes is off', {
        why: 'a power loss can leave half-written pages, unless the file system writes whole pages (ZFS)',
        do: remedyFor('full_page_writes'),
      }),
  )
}

const writes = 'no entry can be written, so nothing is issued'
const remedyFor = (name: string): string => `as a superuser: alter system set ${name} = on; select pg_reload_conf()`

/** A role without pg_monitor sees the standbys, but not whether commits wait for them. */
export function judgeStandbys({ standbys, waitsFor }: PostgresFacts): Finding[] {
  const names = some(standbys.map(({ name }) => name ?? 'unnamed'))
  const why =
    'entries that it has not received are lost when it takes over, and their credentials stay valid without an entry'
  const remedy = "as a superuser: alter system set synchronous_standby_names = 'ANY 1 (*)'; select pg_reload_conf()"
  if (waitsFor === '') {
    if (standbys.length === 0) return []
    return [warn(check, `its standby is asynchronous (${names})`, { why, do: remedy })]
  }
  const unknown = standbys.some(({ sync }) => sync === null)
  const isWaiting = standbys.some(({ sync }) => sync === 'sync' || sync === 'quorum')
  if (isWaiting || unknown) return []
  const what = `commits wait for ${waitsFor}, but no such standby is connected`
  return [
    fail(check, what, { why: writes, do: 'start the standby, or remove its name from synchronous_standby_names' }),
  ]
}

/** Checks that the connection is encrypted and the server verified. */
export function judgeEncryption({ encrypted }: Pick<PostgresFacts, 'encrypted'>, url: URL): Finding[] {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  // The parameter `host` is a socket folder, or overrides the host in the URL.
  const target = url.searchParams.get('host') ?? host
  if (target === '' || target.startsWith('/') || isLoopback(target)) return []
  const remedy = 'add ?sslmode=verify-full&sslrootcert=/path/to/root.pem to DATABASE_URL'
  if (!encrypted) {
    const why = 'an attacker on the network can read names and history, and change what is stored'
    return [warn(check, `the connection to ${target} is not encrypted`, { why, do: remedy })]
  }
  const mode = url.searchParams.get('sslmode')
  const compatible = url.searchParams.get('uselibpqcompat') === 'true'
  if (mode !== 'no-verify' && !(compatible && mode !== 'verify-full')) return []
  const why = 'an attacker on the network can pose as the database'
  return [warn(check, `the connection to ${target} is encrypted, but the server is not verified`, { why, do: remedy })]
}

/** Two open connections that one server process answers are a sign of a pooler in transaction mode. */
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
    fail(check, 'a connection pooler in transaction mode is in front of Postgres', {
      why: 'session settings and LISTEN do not work: synchronous_commit, timeouts, and notifications of revocations',
      do: 'point DATABASE_URL at Postgres itself, or set pool_mode = session in pgbouncer.ini',
    }),
  ]
}

async function measureRoundTrips(knex: Knex): Promise<number> {
  const durations: number[] = []
  for (let n = 0; n < 9; n++) {
    const before = performance.now()
    await readClock(knex)
    durations.push(performance.now() - before)
  }
  return durations.sort((a, b) => a - b)[4] ?? 0
}

/** @param median milliseconds; each issuance waits for at least one commit */
export function judgeLatency(median: number): Finding[] {
  const what = `a round trip takes ${median.toFixed(0)} ms`
  const why = 'each issuance waits for at least one round trip'
  const remedy = 'run Purser in the same region and zone as its database'
  if (median >= 50) return [warn(check, what, { why, do: remedy })]
  return median >= 10 ? [note(check, what, { why, do: remedy })] : []
}
