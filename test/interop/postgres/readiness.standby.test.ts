/** Readiness follows the log: when no append can succeed, load balancers send requests elsewhere. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type TestPurser, startPurser } from '../../support/purser.ts'
import { type StandbyPair, standbyNative, startStandbyPair } from '../../support/standby.ts'
import { cloneDatabase, makeTemplate } from '../../support/template.ts'

let pair: StandbyPair
let purser: TestPurser

beforeAll(async () => {
  pair = await startStandbyPair(standbyNative() ?? '', { synchronous: true })
  const { url } = await cloneDatabase(pair.primary.url, (await makeTemplate(pair.primary.url)).name)
  const rootKey = randomBytes(32).toString('base64')
  purser = await startPurser({ existing: { url, rootKey, admin: '' } })
})
afterAll(async () => {
  await purser?.stop()
  await pair?.stop()
})

const readiness = async (): Promise<unknown> => {
  const { status, body } = await purser.call('GET', '/readyz')
  const checks = body['checks'] as { name: string; ok: boolean }[]
  return { status, failing: checks.filter(({ ok }) => !ok).map(({ name }) => name) }
}

it('a replica is not ready while the synchronous standby is frozen, even without a request to append', async () => {
  expect(await readiness()).toEqual({ status: 200, failing: [] })
  await pair.freeze()
  await expect.poll(readiness).toEqual({ status: 503, failing: ['appends'] })
  await pair.thaw()
  await expect.poll(readiness).toEqual({ status: 200, failing: [] })
})
