/**
 * An operator supplies an administrative credential while Purser replaces it. Purser stores whichever the server
 * accepts.
 */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { definitionFor } from '../support/leases.ts'
import { type Ask, createAsk, entriesOf, fault } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { type TargetServer, startTarget } from '../support/target.ts'

let target: TargetServer
let purser: TestPurser
let ask: Ask
beforeAll(async () => {
  target = await startTarget()
  purser = await startPurser({ store: 'postgres' })
  ask = createAsk(purser)
  await purser.asAdmin('POST', '/api/v1/databases', definitionFor(target))
})
afterAll(async () => {
  await purser?.stop()
  await target.stop()
})

const works = async () => (await ask('checkDatabase', { name: 'orders' })).body['ok']
const isStaged = async (): Promise<boolean> => {
  const row = await purser.knex('database').where({ name: 'orders' }).first('next_ciphertext')
  return row.next_ciphertext !== null
}

it('is not lost if an operator supplies a credential during the change', async () => {
  const blocker = await target.login('postgres', '')
  await blocker.query('begin')
  await blocker.query('lock table pg_authid in share mode')
  const rotating = ask('rotateDatabaseAdmin', { name: 'orders' })
  await expect.poll(isStaged).toBe(true)
  await expect
    .poll(async () => (await target.sql(`select 1 from pg_locks where not granted`)).length)
    .toBeGreaterThan(0)
  const replacement = await ask('replaceDatabase', { name: 'orders', body: definitionFor(target), ifMatch: 1 })
  expect(replacement.status).toBe(200)
  await blocker.query('commit')
  await blocker.end()
  const answer = await rotating
  expect(fault(answer)).toMatch(/^409 conflict/)
  const entries = await entriesOf(purser, answer.headers.get('purser-request-id'))
  expect(entries.map((entry) => entry.outcome)).toEqual(['intended', 'refused'])
  await expect(target.login(target.admin.username, target.admin.password)).rejects.toThrow()
  expect(await works()).toBe(true)

  await purser.runJobs()
  expect(await isStaged()).toBe(false)
  expect(await works()).toBe(true)
  expect((await ask('getDatabase', { name: 'orders' })).body['revision']).toBe(3)
})

it('continues from a supplied credential if the earlier one no longer works', async () => {
  await target.stopHard()
  expect((await ask('rotateDatabaseAdmin', { name: 'orders' })).status).toBe(503)
  await target.start()
  await target.sql(`alter role purser_admin password 'given-by-hand'`)
  expect(await works()).toBe(false)
  const body = definitionFor(target, { admin: { username: 'purser_admin', password: 'given-by-hand' } })
  expect((await ask('replaceDatabase', { name: 'orders', body, ifMatch: 3 })).status).toBe(200)
  await purser.knex('job_state').where({ name: 'staged-admins' }).delete()
  await purser.runJobs()
  expect(await isStaged()).toBe(false)
  expect(await works()).toBe(true)
  await expect(target.login('purser_admin', 'given-by-hand')).rejects.toThrow()
})

it('is no longer staged once an operator names another role', async () => {
  await target.stopHard()
  expect((await ask('rotateDatabaseAdmin', { name: 'orders' })).status).toBe(503)
  await target.start()
  await target.sql(`create role other_admin login createrole password 'other'`)
  const body = definitionFor(target, { admin: { username: 'other_admin', password: 'other' } })
  expect((await ask('replaceDatabase', { name: 'orders', body, ifMatch: 5 })).status).toBe(200)
  expect(await isStaged()).toBe(false)
  await purser.knex('job_state').where({ name: 'staged-admins' }).delete()
  await purser.runJobs()
  await (await target.login('other_admin', 'other')).end()
})
