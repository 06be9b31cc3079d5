/** The append must not scan whole tables, even with a plan from old statistics. */
import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { AppendItem } from '../../src/store/append-wire.ts'
import { appendItems } from '../../src/store/log.ts'
import { testPostgres } from '../support/database.ts'

let db: Awaited<ReturnType<typeof testPostgres>>
beforeAll(async () => {
  db = await testPostgres({ poolMax: 1 })
  await db
    .knex('log_head')
    .insert({ instance_id: randomUUID(), trust_domain: 'example.org', issuer: 'https://x', epoch: 1 })
})
afterAll(() => db.close())

const item = (): AppendItem => ({
  revision: 1,
  leaf: randomBytes(32),
  nonce: randomBytes(32),
  body: '{}',
  at: new Date().toISOString(),
  terms: [1],
  effects: {
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
  },
})

it('looks sessions, claims and join tokens up by their keys', async () => {
  const scans = await db.knex.transaction(async (tx) => {
    for (let n = 0; n < 8; n++) await appendItems(tx, randomUUID(), 1, Array.from({ length: 64 }, item))
    const result = await tx.raw<{ rows: { name: string; scans: string }[] }>(
      `select relname as name, pg_stat_get_xact_numscans(oid) as scans from pg_class
        where relname in ('session', 'claim', 'join_token', 'log_entry')`,
    )
    return Object.fromEntries(result.rows.map((row) => [row.name, Number(row.scans)]))
  })
  expect(scans).toEqual({ session: 0, claim: 0, join_token: 0, log_entry: 0 })
})

it('reads no entries of an index beside those of its own sessions', async () => {
  const batches = 8
  const batchSize = 64
  const read = await db.knex.transaction(async (tx) => {
    for (let n = 0; n < batches; n++) await appendItems(tx, randomUUID(), 1, Array.from({ length: batchSize }, item))
    const { rows } = await tx.raw<{ rows: { name: string; read: string }[] }>(
      `select indexrelid::regclass::text as name, pg_stat_get_xact_tuples_returned(indexrelid) as read
         from pg_index where indrelid = 'session'::regclass`,
    )
    // A bitmap scan counts each entry twice.
    return rows.filter((row) => Number(row.read) > 2 * batches * batchSize)
  })
  expect(read).toEqual([])
})
