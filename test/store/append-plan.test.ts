/**
 * The append must not scan whole tables or indexes, whatever the statistics: a connection keeps its plans, and statistics
 * of empty tables lead to other plans than none.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
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

/** Every session reads every secret, and acknowledges it. */
const readings = (batch: number): Effects[] =>
  secretIds.map((secret) => {
    const holder = `ses_${batch}`
    return { liveSession: holder, facts: 0, reads: [{ secret, version: 1, holder, revision: 1 }] }
  })

const acknowledgements = (batch: number): Effects[] =>
  secretIds.map((secret) => ({ ack: { secret, version: 1, holder: `ses_${batch}` } }))

const writes = (revision: number): Effects[] =>
  secretIds.map((id) => ({ write: secretWrite(revision, { id, path: `prod/${id}` }) }))

const tables = [
  'session',
  'claim',
  'join_token',
  'log_entry',
  'secret',
  'secret_version',
  'secret_consumer',
  'rotation',
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
  beforeAll(async () => {
    db = await testPostgres({ poolMax: 1 })
    await db
      .knex('log_head')
      .insert({ instance_id: randomUUID(), trust_domain: 'example.org', issuer: 'https://x', epoch: 1 })
    await db.knex.raw(`insert into keyring_key (id, wrapped, root_key_id, created_at) values ('key', '', '', now())`)
    await db.knex.raw(prepare)
  })
  afterAll(() => db.close())

  it.each<[string, ((batch: number) => Effects[])[]]>([
    ['attestations', [() => Array.from({ length: batchSize }, attestation)]],
    ['writes, reads and acknowledgements', [writes, readings, acknowledgements]],
  ])('reads only the rows of its own keys: %s', async (__, kinds) => {
    const scans = await db.knex.transaction(async (tx) => {
      for (const effectsOf of kinds) {
        for (let batch = 0; batch < batches; batch++) {
          const items = effectsOf(effectsOf === writes ? 0 : batch).map(item)
          const { verdicts } = await appendItems(tx, randomUUID(), 1, items)
          expect([...verdicts]).toEqual([])
          if (effectsOf === writes) break
        }
      }
      return scansOf(tx)
    })
    expect(scans).toEqual({ scannedTables: [], scannedIndexes: [] })
  })
})
