/** Searches and revocations read the entries that they need, not the whole log: without statistics, and with them. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Knex } from '../../src/store/database.ts'
import { findIssued, issuedTo } from '../../src/store/issued.ts'
import { type Search, findEntries, searchEntries } from '../../src/store/search.ts'
import { termKeys } from '../../src/store/term-keys.ts'
import { testPostgres } from '../support/database.ts'

const many = 24_000
const chunk = 3_000
const start = Date.UTC(2026, 0, 1)
const hex = (n: number): string => n.toString(16).padStart(4, '0').repeat(8)

const [common, old, rare] = termKeys(['action=common', 'workload=old', 'workload=rare'])
const [web] = termKeys(['spiffeId=spiffe://example.org/web'])

let db: Awaited<ReturnType<typeof testPostgres>>
beforeAll(async () => {
  db = await testPostgres({ poolMax: 1, statementSeconds: 60 })
  await db
    .knex('log_head')
    .insert({ instance_id: randomUUID(), trust_domain: 'example.org', issuer: 'https://x', epoch: 1, size: many })
  // Each entry has a common term and a serial number. The first third has `old`, and few entries have `rare`.
  // A statement may take six seconds.
  for (let from = 0; from < many; from += chunk)
    await db.knex.raw(
      `insert into log_entry (epoch, idx, leaf, nonce, body, batch, at, terms)
     select 1, n, sha256(int8send(n)), sha256(int8send(n)),
            json_build_object('action', 'credentials.issue', 'outcome', 'granted', 'actor', json_build_object('spiffeId', 'spiffe://example.org/web'),
              'issued', json_build_object('x509', json_build_object('serialNumber', repeat(lpad(to_hex(n), 4, '0'), 8))), 'padding', repeat('x', 300)),
            gen_random_uuid(), to_timestamp(?::bigint / 1000 + n),
            array[${common}, (${2 ** 52}::bigint + ('x' || lpad(left(repeat(lpad(to_hex(n), 4, '0'), 8), 13), 16, '0'))::bit(64)::bigint)]
              || case when n < ${many / 3} then array[${old}::bigint] else '{}' end
              || case when n % 2000 = 7 then array[${rare}::bigint, ${web}::bigint] else '{}' end
       from generate_series(?::int, ?::int) n`,
      [start, from, from + chunk - 1],
    )
})
afterAll(() => db.close())

/** The rows of the log that a piece of work read from the table. Rows of the index alone cost little. */
async function rowsRead(work: (tx: Knex.Transaction) => Promise<unknown>): Promise<number> {
  return db.knex.transaction(async (tx) => {
    const count = async (): Promise<number> => {
      const { rows } = await tx.raw<{ rows: { read: string }[] }>(
        `select pg_stat_get_xact_tuples_returned('log_entry'::regclass) + pg_stat_get_xact_tuples_fetched('log_entry'::regclass) as read`,
      )
      return Number(rows[0]?.read)
    }
    const before = await count()
    await work(tx)
    return (await count()) - before
  })
}

const limit = 5
/** Rows that a search reads before it uses the index. */
const maxRows = 400 * limit
const whole: Search = { epoch: 1, from: 0, to: many, terms: [], order: 'desc', limit }
const search = (part: Partial<Search>) => (tx: Knex.Transaction) =>
  searchEntries({ knex: tx, kind: 'postgres' }, { ...whole, ...part })

async function collect<T>(list: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of list) items.push(item)
  return items
}

const since = new Date(start - 1)

describe.each(['without statistics', 'with statistics'])('%s', (statistics) => {
  beforeAll(async () => {
    if (statistics === 'with statistics') await db.knex.raw('analyze log_entry')
  })

  it('the newest entries, and those with a common term', async () => {
    expect(await rowsRead(search({}))).toBeLessThan(3 * limit)
    // The first part of the nearest entries.
    const maxRows = 41 * limit
    expect(await rowsRead(search({ terms: ['action=common'] }))).toBeLessThan(maxRows)
    expect(await rowsRead(search({ terms: ['action=common'], to: many / 2 }))).toBeLessThan(maxRows)
    expect(await rowsRead(search({ terms: ['workload=old'], order: 'asc' }))).toBeLessThan(maxRows)
  })

  it('a rare term, a term of no entry, and two terms of which one is rare', async () => {
    const results = await searchEntries(db, { ...whole, terms: ['workload=rare'] })
    expect(results.rows.map(({ index }) => index)).toEqual([22007, 20007, 18007, 16007, 14007])
    expect(await rowsRead(search({ terms: ['workload=rare'] }))).toBeLessThan(maxRows + 100)
    expect(await rowsRead(search({ terms: ['workload=none'] }))).toBeLessThan(maxRows + 10)
    expect(await rowsRead(search({ terms: ['action=common', 'workload=rare'] }))).toBeLessThan(maxRows + 100)
  })

  it('a term that is common only in an old part of the log: its entries, and not those after it', async () => {
    const read = await rowsRead(search({ terms: ['workload=old'] }))
    expect(read).toBeLessThan(maxRows + many / 3 + 100)
  })

  it('an id', async () => {
    const terms = [`serialNumber=${hex(4711)}`]
    expect((await searchEntries(db, { ...whole, terms })).rows.map(({ index }) => index)).toEqual([4711])
    expect(await rowsRead(search({ terms }))).toBeLessThan(10)
    expect(await rowsRead((tx) => findEntries(tx, terms, 10))).toBeLessThan(10)
    expect(await rowsRead((tx) => findIssued(tx, { serialNumber: hex(4711) }))).toBeLessThan(10)
  })

  it('a short period', async () => {
    const read = await rowsRead(search({ terms: ['workload=rare'], from: 10_000, to: 10_600 }))
    expect(read).toBeLessThan(610)
  })

  it('credentials of a SPIFFE ID, before a position and after it', async () => {
    const holder = { spiffeId: 'spiffe://example.org/web' }
    const before = { before: { epoch: 1, index: many - 1000 } }
    const after = { epoch: 1, from: many - 1000, to: many }
    expect(await collect(issuedTo(db.knex, holder, since, before))).toHaveLength(12)
    expect(await collect(issuedTo(db.knex, holder, since, { epoch: 1, from: 8000, to: 8008 }))).toHaveLength(1)
    expect(await rowsRead((tx) => collect(issuedTo(tx, holder, since, before)))).toBeLessThan(100)
    expect(await rowsRead((tx) => collect(issuedTo(tx, holder, since, after)))).toBeLessThan(1010)
  })
})
