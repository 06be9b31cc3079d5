/**
 * Lists and writes of secrets read the rows that they show or write, not those beside them, also with old statistics.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { appendItems } from '../../src/store/log.ts'
import { afterPath, endOfPrefix, listSecrets } from '../../src/store/secrets.ts'
import { readWriteStates } from '../../src/store/write-states.ts'
import { testPostgres } from '../support/database.ts'
import { secretWrite } from '../support/secret-write.ts'

const many = 20_000

let db: Awaited<ReturnType<typeof testPostgres>>
beforeAll(async () => {
  db = await testPostgres({ poolMax: 1, statementSeconds: 60 })
  await db
    .knex('log_head')
    .insert({ instance_id: randomUUID(), trust_domain: 'example.org', issuer: 'https://x', epoch: 1 })
  await db.knex.raw(`insert into keyring_key (id, wrapped, root_key_id, created_at) values ('key', '', '', now())`)
  // The connection keeps plans from a time when the tables were nearly empty.
  await readWriteStates(db.knex, ['app-1/db'])
  for (const expected of [0, 1]) await appendItems(db.knex, randomUUID(), 1, [write(0, expected)])
  await db.knex.raw(
    `insert into secret (id, path, version, revision, max_versions, created_at, updated_at)
     select 'sec_' || n, 'app-' || n || '/db', 1, 1, 10, now(), now() from generate_series(1, ${many}) n`,
  )
  await db.knex.raw(
    `insert into secret_version (secret_id, version, source, created_by, created_at)
     select id, 1, 'put', 'operator:x', now() from secret where not starts_with(id, 'sec_new_')`,
  )
})
afterAll(() => db.close())

/** The rows of secrets and versions that a piece of work read, by index or in a scan. */
async function rowsRead(work: (tx: Parameters<typeof appendItems>[0]) => Promise<unknown>): Promise<number> {
  return db.knex.transaction(async (tx) => {
    const count = async (): Promise<number> => {
      const { rows } = await tx.raw<{ rows: { read: string }[] }>(
        `select sum(pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid)) as read
           from pg_class where oid in ('secret'::regclass, 'secret_version'::regclass)
             or oid in (select indexrelid from pg_index where indrelid in ('secret'::regclass, 'secret_version'::regclass))`,
      )
      return Number(rows[0]?.read)
    }
    const before = await count()
    await work(tx)
    return (await count()) - before
  })
}

it('a page of all secrets, of a prefix, and the next page', async () => {
  const all = { from: '', before: endOfPrefix('') }
  expect(await rowsRead((tx) => listSecrets(tx, all, 50))).toBeLessThan(200)
  expect(await rowsRead((tx) => listSecrets(tx, { ...all, from: afterPath('app-5/db') }, 50))).toBeLessThan(200)
  const range = { from: 'app-77/', before: endOfPrefix('app-77/') }
  expect(await listSecrets(db.knex, range, 50)).toMatchObject([{ path: 'app-77/db' }])
  expect(await rowsRead((tx) => listSecrets(tx, range, 50))).toBeLessThan(10)
})

function write(n: number, expected: number) {
  return {
    leaf: randomBytes(32),
    nonce: randomBytes(32),
    body: '{}',
    at: new Date().toISOString(),
    terms: [1],
    effects: {
      write: secretWrite(expected, {
        id: expected === 0 ? `sec_new_${n}` : `sec_${n}`,
        path: expected === 0 ? `new-${n}/db` : `app-${n}/db`,
      }),
    },
  }
}

it('the state of a path that a writer needs', async () => {
  expect(await readWriteStates(db.knex, ['app-9/db', 'none/db', 'app-8/db'])).toMatchObject([
    { secret: { path: 'app-9/db' }, lastVersion: 1, versions: [1], isRotating: false },
    { lastVersion: 0, versions: [], isRotating: false },
    { secret: { path: 'app-8/db' }, lastVersion: 1 },
  ])
  expect(await rowsRead((tx) => readWriteStates(tx, ['app-9/db']))).toBeLessThan(20)
  expect(await rowsRead((tx) => readWriteStates(tx, ['none/db', 'app-9/db']))).toBeLessThan(40)
})

it('writes of new and of existing secrets', async () => {
  const items = Array.from({ length: 32 }, (_, n) => [write(n + 1, 1), write(n + 1, 0)]).flat()
  const read = await rowsRead(async (tx) => {
    for (let at = 0; at < items.length; at += 8) {
      const { verdicts } = await appendItems(tx, randomUUID(), 1, items.slice(at, at + 8))
      expect([...verdicts]).toEqual([])
    }
  })
  expect(read / items.length).toBeLessThan(20)
})

it('omit the writes whose secrets have changed, and append the others of the batch', async () => {
  const { verdicts } = await appendItems(db.knex, randomUUID(), 1, [write(501, 1), write(502, 7), write(503, 0)])
  expect([...verdicts]).toEqual([[1, { kind: 'moved' }]])
  const secondAppend = await appendItems(db.knex, randomUUID(), 1, [write(501, 1), write(503, 0)])
  expect([...secondAppend.verdicts.values()]).toEqual([{ kind: 'moved' }, { kind: 'moved' }])
  expect(await db.knex('secret').where({ path: 'app-501/db' }).first('version', 'revision')).toEqual({
    version: 2,
    revision: 2,
  })
})
