/** Replicas that do not check the database server, beside replicas that do. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

const unchecked = { PURSER_DATABASE_FAILOVER: 'unchecked' }
const rootKey = randomBytes(32).toString('base64')
let database: { url: string; drop: () => Promise<void> }
let purser: TestPurser
let admin = ''

const start = async (env: Record<string, string> = {}): Promise<TestPurser> => {
  const started = await startPurser({ env, existing: { url: database.url, rootKey, admin } })
  ;({ admin } = started)
  return started
}
const boundTo = async (): Promise<unknown> => (await purser.knex('log_head').first('server'))?.server
const failovers = async (): Promise<Record<string, unknown>[]> => {
  const { body } = await purser.asAdmin('GET', '/api/v1/audit/entries?action=log.failover')
  return (body.items as { entry: { detail: Record<string, unknown> } }[]).map(({ entry }) => entry.detail)
}

beforeAll(async () => {
  database = await testDatabase()
})
afterAll(async () => {
  await purser?.stop()
  await database.drop()
})

it('record an entry about the server that the log leaves', async () => {
  purser = await start()
  const server = await boundTo()
  await purser.knex('log_head').update({ server: '1/1' })
  await purser.stop()
  purser = await start(unchecked)
  expect((await purser.call('GET', '/readyz')).status).toBe(200)
  expect(await failovers()).toMatchObject([{ from: '1/1', to: server, basis: 'unchecked' }])
  expect(await boundTo()).toBeNull()
})

it('continue after a fail-over that follows a checking replica, with an entry', async () => {
  await purser.knex('log_head').update({ server: '1/2' })
  await expect.poll(async () => (await failovers()).map(({ from }) => from)).toEqual(['1/2', '1/1'])
})

it('unbind the log from the present server without an entry', async () => {
  await purser.stop()
  purser = await start()
  expect(await boundTo()).toMatch(/^\d+\/\d+$/)
  await purser.stop()
  purser = await start(unchecked)
  expect(await boundTo()).toBeNull()
  expect(await failovers()).toHaveLength(2)
})
