/** `npm run bench -- --only storage`: the bytes that each kind of request adds to the database, with indexes. */
import { Client } from 'pg'
import { startOwnPostgres } from '../../test/support/postgres.ts'
import { makeRequests } from '../issuing.ts'
import type { LoadJob } from '../load.ts'
import { printTitle } from '../print.ts'
import { login, reads, writeCases } from '../secrets.ts'
import { type Serving, serving } from '../serving.ts'

/** Tables by their size, with indexes and out-of-line values. */
async function sizesOf(client: Client): Promise<Map<string, number>> {
  // A pending list of an index has a size of its own.
  await client.query('vacuum')
  const { rows } = await client.query<{ name: string; bytes: string }>(
    `select relname as name, pg_total_relation_size(oid) as bytes from pg_class
      where relkind = 'r' and relnamespace = 'public'::regnamespace`,
  )
  return new Map(rows.map(({ name, bytes }) => [name, Number(bytes)]))
}

type Added = { total: number; tables: [name: string, bytes: number][] }

const minBytes = 1

/** What a request adds to each table, on average. */
function added(before: Map<string, number>, after: Map<string, number>, requests: number): Added {
  const tables = [...after]
    .map(([name, bytes]): [string, number] => [name, (bytes - (before.get(name) ?? 0)) / requests])
    .filter(([, bytes]) => bytes >= minBytes)
    .toSorted(([, a], [, b]) => b - a)
  return { total: tables.reduce((sum, [, bytes]) => sum + bytes, 0), tables }
}

const secondsOfYear = 365 * 24 * 3600

function print(name: string, { total, tables }: Added): void {
  const bytes = (value: number): string => Math.round(value).toLocaleString('en').padStart(6)
  const parts = tables.map(([table, value]) => `${table} ${Math.round(value).toLocaleString('en')}`).join(', ')
  const log = (tables.find(([table]) => table === 'log_entry')?.[1] ?? 0) + 33
  const year = ((log * 100 * secondsOfYear) / 1e12).toFixed(1)
  process.stdout.write(`  ${name.padEnd(34)} ${bytes(total)} bytes: ${parts}\n`)
  process.stdout.write(`  ${''.padEnd(34)} ${''.padStart(6)} the log of a year at 100 a second: ${year} TB\n`)
}

async function measureAll(url: string, { measure, admin }: Serving, count: number): Promise<void> {
  const { text } = await measure({ connections: 1, requests: [await login(), await login()], warmUp: 1 })
  const bearer = /"token":"(purser_at_[^"]+)"/.exec(text)?.[1] ?? ''
  const [created, changed] = writeCases(count, admin, 0)
  const cases: [string, LoadJob['requests']][] = [
    ['X.509, a session each', await makeRequests(count, 'x509', false, 'ES256')],
    ['JWT, a session each', await makeRequests(count, 'jwt', false, 'ES256')],
    ['X.509 and JWT, a session each', await makeRequests(count, 'both', false, 'ES256')],
    ['read of a secret', reads(count, bearer)],
    ['new secret', created?.requests ?? []],
    ['new version of a secret', changed?.requests ?? []],
  ]
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    for (const [name, requests] of cases) {
      const before = await sizesOf(client)
      await measure({ connections: 64, requests, warmUp: 0 })
      print(name, added(before, await sizesOf(client), requests.length))
    }
  } finally {
    await client.end()
  }
}

/** @param count requests of each kind. Tables grow by whole pages, so more requests give more exact numbers. */
export async function storage(count: number): Promise<void> {
  printTitle(`Bytes in the database, on average of ${count.toLocaleString('en')} requests`)
  const postgres = await startOwnPostgres()
  let url = ''
  const fill = async (database: string): Promise<void> => void (url = database)
  try {
    await serving({ postgres, workers: 1, tls: true, fill }, (running) => measureAll(url, running, count))
  } finally {
    await postgres.stop()
  }
}
