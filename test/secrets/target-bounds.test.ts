/** The maximum duration of an effect at a target. After two minutes another replica repeats it. */
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from 'vitest'
import { withConnection } from '../../src/secrets/databases/connect.ts'
import { type TargetServer, startTarget } from '../support/target.ts'

let target: TargetServer
beforeAll(async () => {
  target = await startTarget()
})
afterAll(() => target.stop())

it('no statement begins after the time limit of the connection, and its transaction is rolled back', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  onTestFinished(() => void vi.useRealTimers())
  const where = { host: target.host, port: target.port, database: 'orders', tls: { insecure: true } }
  const result = withConnection(where, target.admin, (session) =>
    session.together(async () => {
      await session.run('create role half_done nologin')
      vi.advanceTimersByTime(29_000)
      await session.run('alter role half_done createrole')
      vi.advanceTimersByTime(2_000)
      await session.run('alter role half_done login')
    }),
  )
  await expect(result).rejects.toMatchObject({ fault: 'failed', message: expect.stringContaining('slow') })
  await expect
    .poll(() => target.sql(`select 1 from pg_stat_activity where application_name = 'purser' and state <> 'idle'`))
    .toEqual([])
  expect(await target.sql(`select 1 from pg_roles where rolname = 'half_done'`)).toEqual([])
})
