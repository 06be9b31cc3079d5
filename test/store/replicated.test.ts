/** How a read of the head affects appends of other replicas. test/interop/postgres has the standby. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { lockHead } from '../../src/store/log.ts'
import { createReplicatedHead } from '../../src/store/replicated.ts'
import { testPostgres } from '../support/database.ts'

let db: Awaited<ReturnType<typeof testPostgres>>
beforeAll(async () => {
  db = await testPostgres({ poolMax: 4 })
  await db
    .knex('log_head')
    .insert({ instance_id: randomUUID(), trust_domain: 'example.org', issuer: 'https://x', epoch: 1, size: 7 })
})
afterAll(() => db.close())

it('does not wait for the head lock when no commit waits for a standby', async () => {
  await db.knex.transaction(async (tx) => {
    await lockHead(tx)
    expect(await createReplicatedHead(db.knex, () => 0)()).toMatchObject({ size: 7 })
  })
})

it('confirms once for concurrent reads, and not again before the log has grown', async () => {
  const read = createReplicatedHead(db.knex, () => 0)
  const statements: string[] = []
  const watched = ({ sql }: { sql: string }) => void statements.push(sql)
  db.knex.on('query', watched)
  const confirmations = () => statements.filter((sql) => sql.includes('for update')).length
  await Promise.all([read(), read(), read()])
  await read()
  expect(confirmations()).toBe(1)
  await db.knex('log_head').update({ size: 8 })
  await Promise.all([read(), read()])
  expect(confirmations()).toBe(2)
  db.knex.off('query', watched)
})
