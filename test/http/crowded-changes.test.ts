/** More changes at once than a replica can make: those that can't have their turn in time are told so at once. */
import { expect, it, onTestFinished } from 'vitest'
import { openPostgres } from '../../src/store/postgres.ts'
import { type Answer, audience, startPurser } from '../support/purser.ts'

/** As audit/change.ts has it. */
const mostWaiting = 500

it('a change beyond those that may wait is refused, and made when it comes again', async () => {
  const purser = await startPurser({ store: 'postgres', env: { PURSER_LIMIT_ADDRESS_PER_SECOND: '1000' } })
  onTestFinished(() => purser.stop())
  const url = purser.config.database.kind === 'postgres' ? purser.config.database.url.reveal() : ''
  const other = openPostgres({ url })
  onTestFinished(() => other.close())
  let made = 0
  const change = (): Promise<Answer> => {
    const keys = { discovery: true }
    const name = `a${made++}`
    const attestor = { name, kind: 'oidc', issuer: `https://${name}.example`, audience, keys }
    return purser.call('POST', '/api/v1/attestors', attestor, { token: purser.admin })
  }
  expect((await change()).status).toBe(201)
  const answers: Answer[] = []
  let all: Promise<unknown> = Promise.resolve()
  await other.knex.transaction(async (tx) => {
    await tx.raw('set local idle_in_transaction_session_timeout = 0')
    await tx('log_head').forUpdate().first()
    all = Promise.all(Array.from({ length: mostWaiting + 20 }, async () => answers.push(await change())))
    await expect.poll(() => answers.length, { timeout: 60_000 }).toBeGreaterThanOrEqual(19)
    const refused = answers.slice(0, 19)
    for (const { status, headers, body } of refused) {
      expect([status, body.code]).toEqual([503, 'log_unavailable'])
      expect(headers.get('retry-after')).toBe('2')
      expect(body['detail']).toBe('too many changes wait for their turn')
    }
  })
  await all
  expect((await change()).status).toBe(201)
}, 120_000)
