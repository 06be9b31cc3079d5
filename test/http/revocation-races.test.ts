/** Revocations of the same credentials at the same time, at two replicas of one Postgres. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { waiters } from '../support/head-lock.ts'
import { type Lab, createLab } from '../support/lab.ts'
import { fault } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser, startReplica } from '../support/purser.ts'

let purser: TestPurser
let replica: TestPurser
let lab: Lab

beforeAll(async () => {
  purser = await startPurser({ store: 'postgres' })
  replica = await startReplica(purser)
  lab = await createLab(purser)
})
afterAll(async () => {
  await replica.stop()
  await purser.stop()
})

/** The number of deadlocks that Postgres has resolved. */
async function deadlocks(): Promise<number> {
  const query = 'select deadlocks from pg_stat_database where datname = current_database()'
  const { rows } = await purser.knex.raw<{ rows: { deadlocks: string }[] }>(query)
  return Number(rows[0]?.deadlocks)
}
const waiting = (count: number) => expect.poll(() => waiters(purser.knex), { timeout: 1500 }).toBe(count)
const revoke = (at: TestPurser, body: Record<string, string>): Promise<Answer> =>
  at.call('POST', '/api/v1/revocations', body, { token: purser.admin })

it('do not deadlock while one of them holds the head lock', async () => {
  const { session, serialNumber } = await lab.get({ jti: 'pod' }, { jwts: undefined, accessToken: undefined })
  const before = await deadlocks()

  // Another transaction is about to revoke the first certificate, so the session's revocation waits with its list.
  const first = await purser.knex.transaction()
  const row = { id: 'blk_test', kind: 'serialNumber', value: serialNumber, at: new Date(), until: new Date() }
  await first('block').insert(row)
  const ofSession = revoke(purser, { session })
  await waiting(1)
  // Meanwhile there is another certificate, which only the second read under the head lock finds.
  const later = await lab.get({ jti: 'pod' }, { jwts: undefined, accessToken: undefined })
  expect(later.session).toBe(session)
  const head = await purser.knex.transaction()
  await head('log_head').forUpdate().first()
  await first.rollback()
  await waiting(1)
  // Without an order between them this one writes the certificate's block, and waits for the head lock of the other.
  const ofCertificate = revoke(replica, { serialNumber: later.serialNumber })
  await waiting(2)
  await head.commit()

  expect((await Promise.all([ofSession, ofCertificate])).map(fault)).toEqual(['201 ', '201 '])
  expect(await deadlocks()).toBe(before)
})
