/** Floods of made-up bootstrap tokens: each costs a lookup, but no turn among the changes, and locks out no caller. */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { openPostgres } from '../../src/store/postgres.ts'
import { testDatabase } from '../support/database.ts'
import { readLog } from '../support/operator.ts'
import { type Answer, type TestPurser, audience, startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

const env = { PURSER_TRUSTED_PROXIES: '127.0.0.0/8', PURSER_LIMIT_ALL_REFUSALS_PER_MINUTE: '1' }
const waitsForLock = `datname = current_database() and wait_event_type = 'Lock'`
/** As in bootstrap-tries.ts. */
const perMinute = 60

/** Each request has its own address, so that no limit by address applies. */
let count = 0
const tryOne = (purser: TestPurser): Promise<Answer> => {
  const token = `purser_boot_${randomBytes(32).toString('base64url')}`
  const n = count++
  const headers = { 'x-forwarded-for': `198.18.${n >> 8}.${n & 255}` }
  return purser.call('POST', '/api/v1/bootstrap', undefined, { token, headers })
}
const tryMany = (purser: TestPurser, count: number): Promise<Answer[]> =>
  Promise.all(Array.from({ length: count }, () => tryOne(purser)))

const statuses = (answers: Answer[]): number[] => answers.map((answer) => answer.status)
const bootstrapToken = async ({ dataDir }: TestPurser): Promise<string> =>
  (await readFile(join(dataDir, 'bootstrap-token'), 'utf8')).trim()

describe.each(frontDoorStores)('a flood of made-up bootstrap tokens (%s)', (store) => {
  let purser: TestPurser
  beforeAll(async () => {
    purser = await startPurser({ store, env })
    return () => purser.stop()
  })

  it('gets 401 up to a limit per minute for all addresses together, then 429', async () => {
    const answers = await tryMany(purser, perMinute + 40)
    expect(statuses(answers).filter((status) => status === 401)).toHaveLength(perMinute)
    const limited = answers.filter((answer) => answer.status !== 401)
    expect(limited).toHaveLength(40)
    for (const { status, body, headers } of limited) {
      expect([status, body.code]).toEqual([429, 'rate_limited'])
      expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
      expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(60)
    }
    const recorded = (await readLog(purser)).filter((entry) => entry.outcome === 'refused')
    expect(recorded.map((entry) => entry.action)).toEqual(['bootstrap.exchange'])
  })

  it('does not block the real token', async () => {
    const [flood, answer] = await Promise.all([
      tryMany(purser, 200),
      purser.call('POST', '/api/v1/bootstrap', undefined, { token: await bootstrapToken(purser) }),
    ])
    expect(new Set(statuses(flood))).toEqual(new Set([429]))
    expect([answer.status, answer.body.operator]).toEqual([200, 'admin'])
  })
})

describe('on Postgres', () => {
  it('a flood of made-up bootstrap tokens does not enter the queue of changes', async () => {
    const purser = await startPurser({ store: 'postgres', env })
    onTestFinished(() => purser.stop())
    await tryOne(purser)
    const url = purser.config.database.kind === 'postgres' ? purser.config.database.url.reveal() : ''
    const other = openPostgres({ url })
    onTestFinished(() => other.close())
    let isSettled = false
    let change: Promise<Answer> | undefined
    await other.knex.transaction(async (tx) => {
      await tx.raw('set local idle_in_transaction_session_timeout = 0')
      await tx('log_head').forUpdate().first()
      const attestor = { name: 'lab', kind: 'oidc', issuer: 'https://lab.example', audience, keys: { discovery: true } }
      change = purser.call('POST', '/api/v1/attestors', attestor, { token: purser.admin })
      void change.finally(() => (isSettled = true))
      // It holds the turn, and waits for the head lock.
      await expect.poll(() => other.knex('pg_stat_activity').whereRaw(waitsForLock).select('pid')).not.toEqual([])
      const answers = await tryMany(purser, 100)
      expect(isSettled).toBe(false)
      expect(statuses(answers).every((status) => status === 401 || status === 429)).toBe(true)
    })
    await change
  })

  it('replicas share the limit of made-up bootstrap tokens', async () => {
    const database = await testDatabase()
    onTestFinished(database.drop)
    const existing = { url: database.url, rootKey: randomBytes(32).toString('base64'), admin: '' }
    const first = await startPurser({ env, existing })
    onTestFinished(() => first.stop())
    const second = await startPurser({ env, existing: { ...existing, admin: first.admin } })
    onTestFinished(() => second.stop())
    const answers = [...(await tryMany(first, 40)), ...(await tryMany(second, 40))]
    expect(statuses(answers).filter((status) => status === 401)).toHaveLength(perMinute)
    const real = await second.call('POST', '/api/v1/bootstrap', undefined, { token: await bootstrapToken(first) })
    expect(real.status).toBe(200)
  })
})
