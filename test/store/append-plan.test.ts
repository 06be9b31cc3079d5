/**
 * The append must not scan whole tables or indexes, whatever the statistics: a connection keeps its plans, and statistics
 * of empty tables lead to other plans than none.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AppendItem } from '../../src/store/append-wire.ts'
import type { Knex } from '../../src/store/database.ts'
import type { Effects } from '../../src/store/effects.ts'
import { appendItems } from '../../src/store/log.ts'
import { testPostgres } from '../support/database.ts'
import { secretWrite } from '../support/secret-write.ts'

const batches = 8
const batchSize = 64

const item = (effects: Effects): AppendItem => ({
  revision: 1,
  leaf: randomBytes(32),
  nonce: randomBytes(32),
  body: '{}',
  at: new Date().toISOString(),
  terms: [1],
  effects,
})

const attestation = (): Effects => ({
  claim: { key: randomBytes(32), holder: randomBytes(32), until: new Date() },
  session: {
    id: `ses_${randomUUID()}`,
    instance: randomBytes(32),
    entryKeyed: false,
    generation: 0,
    workloadId: 'wl_1',
    attestorId: 'att_1',
    spiffeId: 'spiffe://example.org/x',
    selectors: {},
    expiresAt: new Date(),
  },
})

const secretIds = Array.from({ length: batchSize }, (_, n) => `sec_${n}`)

/** Every session reads every secret, and acknowledges it. They were written twice. */
const readings = (batch: number): Effects[] =>
  secretIds.map((secret) => {
    const holder = `ses_${batch}`
    return { liveSession: holder, facts: 0, reads: [{ secret, version: 1, holder, revision: 2 }] }
  })

const acknowledgements = (batch: number): Effects[] =>
  secretIds.map((secret) => ({ ack: { secret, version: 1, holder: `ses_${batch}` } }))

const writes = (revision: number): Effects[] =>
  secretIds.map((id) => ({ write: secretWrite(revision, { id, path: `prod/${id}` }) }))

const ids = (batch: number): string[] => Array.from({ length: batchSize }, (_, n) => `${batch}-${n}`)

const joins = (batch: number): Effects[] => ids(batch).map((joinToken) => ({ ...attestation(), joinToken }))

const leases = (batch: number): Effects[] => ids(batch).map((id) => ({ leases: [id] }))

const eachBatch = <T>(create: (batch: number) => T): T[] => Array.from({ length: batches }, (_, batch) => create(batch))

const allIds = eachBatch(ids).flat()

/** Join tokens and intended leases, added once the statistics are taken. */
async function addRows(knex: Knex): Promise<void> {
  await knex.raw(
    `insert into join_token (id, hash, workload_id, uses_left, created_at, expires_at)
     select id, sha256(id::bytea), 'wl_1', 1, now(), now() + interval '1 hour' from unnest(?::text[]) id`,
    [allIds],
  )
  await knex.transaction(async (tx) => {
    // The database that the leases name does not exist.
    await tx.raw('set local session_replication_role = replica')
    await tx.raw(
      `insert into lease (id, database_id, username, state, created_at, expires_at, max_expires_at)
       select id, 'db_1', id, 'intended', now(), now(), now() from unnest(?::text[]) id`,
      [allIds],
    )
  })
}

const tables = [
  'session',
  'claim',
  'join_token',
  'log_entry',
  'secret',
  'secret_version',
  'secret_consumer',
  'rotation',
  'lease',
]

/** The statistics of this transaction. */
async function scansOf(tx: Knex): Promise<{ scannedTables: string[]; scannedIndexes: string[] }> {
  const tableScans = await tx.raw<{ rows: { name: string }[] }>(
    `select relname as name from pg_class where relname = any(?) and pg_stat_get_xact_numscans(oid) > 0`,
    [tables],
  )
  // A bitmap scan counts each entry twice. Two statements look a session up, and three a secret.
  const { rows } = await tx.raw<{ rows: { name: string }[] }>(
    `select indexrelid::regclass::text as name from pg_index
      where indrelid::regclass::text = any(?)
        and pg_stat_get_xact_tuples_returned(indexrelid) > 2 * greatest(?, pg_stat_get_xact_numscans(indexrelid))`,
    [tables, batches * batchSize],
  )
  return { scannedTables: tableScans.rows.map(({ name }) => name), scannedIndexes: rows.map(({ name }) => name) }
}

describe.each([
  ['without statistics', 'select 1'],
  ['with statistics of empty tables', 'analyze'],
])('an append %s', (_, prepare) => {
  let db: Awaited<ReturnType<typeof testPostgres>>
  beforeEach(async () => {
    db = await testPostgres({ poolMax: 1 })
    await db
      .knex('log_head')
      .insert({ instance_id: randomUUID(), trust_domain: 'example.org', issuer: 'https://x', epoch: 1 })
    await db.knex.raw(`insert into keyring_key (id, wrapped, root_key_id, created_at) values ('key', '', '', now())`)
    await db.knex.raw(prepare)
    await addRows(db.knex)
  })
  afterEach(() => db.close())

  it.each<[string, () => Effects[][]]>([
    ['attestations', () => eachBatch(() => Array.from({ length: batchSize }, attestation))],
    [
      'writes, reads and acknowledgements',
      () => [writes(0), writes(1), ...eachBatch(readings), ...eachBatch(acknowledgements)],
    ],
    ['join tokens', () => eachBatch(joins)],
    ['leases', () => eachBatch(leases)],
  ])('reads only the rows of its own keys: %s', async (__, effectsOf) => {
    const scans = await db.knex.transaction(async (tx) => {
      for (const effects of effectsOf()) {
        const { verdicts } = await appendItems(tx, randomUUID(), 1, effects.map(item))
        expect([...verdicts]).toEqual([])
      }
      return scansOf(tx)
    })
    expect(scans).toEqual({ scannedTables: [], scannedIndexes: [] })
  })
})
