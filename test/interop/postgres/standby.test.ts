/** The pair of servers for the tests of fail-over. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type StandbyPair, standbyNative, startStandbyPair } from '../../support/standby.ts'

let pair: StandbyPair

beforeAll(async () => {
  pair = await startStandbyPair(standbyNative() ?? '', { synchronous: true })
})
afterAll(() => pair?.stop())

it('a synchronous commit waits for a frozen standby, and one that the standby has survives the primary', async () => {
  await pair.freeze()
  const client = pair.sql(pair.primary, 'create table proof (n int)')
  await expect
    .poll(() => pair.sql(pair.primary, `select from pg_stat_activity where wait_event = 'SyncRep'`))
    .toHaveLength(1)
  await pair.thaw()
  await client
  await pair.primary.stopHard()
  await pair.promote()
  expect(await pair.sql(pair.standby, 'insert into proof values (1) returning n')).toEqual([{ n: 1 }])
})
