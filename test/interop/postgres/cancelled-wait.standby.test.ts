/**
 * A commit that waits for the synchronous standby, and whose wait is cancelled at the server: Postgres keeps the
 * commit, sends the client only a warning, and the standby may lack it.
 */
import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Lab, createLab } from '../../support/lab.ts'
import { type Answer, type TestPurser, startPurser } from '../../support/purser.ts'
import { type StandbyPair, standbyNative, startStandbyPair } from '../../support/standby.ts'
import { cloneDatabase, makeTemplate } from '../../support/template.ts'

const rootKey = randomBytes(32).toString('base64')
let pair: StandbyPair
let watcher: Client
let database: { url: string }
let purser: TestPurser
let lab: Lab

beforeAll(async () => {
  pair = await startStandbyPair(standbyNative() ?? '', { synchronous: true })
  watcher = new Client({ connectionString: pair.primary.url })
  watcher.on('error', () => undefined)
  await watcher.connect()
})
afterAll(async () => {
  await watcher?.end()
  await pair?.stop()
})
beforeEach(async () => {
  database = await cloneDatabase(pair.primary.url, (await makeTemplate(pair.primary.url)).name)
  purser = await startPurser({ existing: { url: database.url, rootKey, admin: '' } })
  lab = await createLab(purser)
})
afterEach(async () => {
  await pair.thaw()
  await purser?.stop()
})

type Ender = 'pg_cancel_backend' | 'pg_terminate_backend'

/** Cancels each present wait for the standby; returns their number. */
async function endWaits(ender: Ender): Promise<number> {
  const { rowCount } = await watcher.query(`select ${ender}(pid) from pg_stat_activity where wait_event = 'SyncRep'`)
  return rowCount ?? 0
}

/** Cancels each wait until the reply arrives; returns their number. */
async function endWaitsUntil(reply: Promise<Answer>, ender: Ender): Promise<number> {
  const state = { replied: false, ended: 0 }
  void reply.then(() => (state.replied = true))
  while (!state.replied) state.ended += await endWaits(ender)
  return state.ended
}

const workload = (name: string) => ({
  name,
  attestor: 'lab',
  match: { 'oidc:sub': name },
  spiffeId: `spiffe://example.org/lab/${name}`,
  grants: {},
})

const requests: [what: string, send: (name: string) => Promise<Answer>][] = [
  ['an issuance', () => lab.ask({}, { jwts: [{ audience: ['payments'] }] })],
  ['a change', (name) => purser.call('POST', '/api/v1/workloads', workload(name), { token: purser.admin })],
]

function atStandby(): { url: string } {
  const url = new URL(database.url)
  url.host = new URL(pair.standby.url).host
  return { url: url.href }
}

const leaves = (server: { url: string }): Promise<{ leaf: Buffer }[]> =>
  pair.sql(server, 'select leaf from log_entry order by epoch, idx')

describe.each(['pg_cancel_backend', 'pg_terminate_backend'] as const)('%s on the wait', (ender) => {
  it.each(requests)('releases nothing of %s while the standby lacks it', async (_, send) => {
    await pair.freeze()
    const reply = send('frozen')
    // Each later look-up waits for the standby as well.
    expect(await endWaitsUntil(reply, ender)).toBeGreaterThan(0)
    expect(await reply).toMatchObject({ status: 503, body: { code: 'log_unavailable' } })
  })

  it.each(requests)('answers %s once the standby has it', async (_, send) => {
    await pair.freeze()
    const reply = send('thawed')
    await expect.poll(() => endWaits(ender)).toBeGreaterThan(0)
    await pair.thaw()
    const { status, text } = await reply
    expect(status, text).toBeLessThan(300)
    const released = await leaves(database)
    await pair.caughtUp()
    expect(await leaves(atStandby())).toEqual(expect.arrayContaining(released))
  })
})

it('signs no head over what the standby lacks, at other replicas and at later starts', async () => {
  const existing = { url: database.url, rootKey, admin: purser.admin }
  const second = await startPurser({ existing })
  const sizeAt = async (replica: TestPurser): Promise<number> =>
    Number((await replica.call('GET', '/log/1/checkpoint')).text.split('\n')[1])
  await expect.poll(() => sizeAt(second)).toBe(await sizeAt(purser))
  const size = await sizeAt(second)
  await pair.freeze()
  await endWaitsUntil(lab.ask({}, { jwts: [{ audience: ['payments'] }] }), 'pg_cancel_backend')
  expect(await leaves(database)).toHaveLength(size + 1)
  const third = await startPurser({ existing })
  expect(await sizeAt(second)).toBe(size)
  expect((await third.call('GET', '/log/1/checkpoint')).status).toBe(503)
  await pair.thaw()
  await expect.poll(() => sizeAt(second)).toBe(size + 1)
  await expect.poll(() => sizeAt(third)).toBe(size + 1)
  await Promise.all([second.stop(), third.stop()])
})

it('loses nothing that was released when the standby takes over', async () => {
  await pair.freeze()
  // Data that was sent before would be read after the thaw.
  await pair.sql(pair.primary, 'select pg_terminate_backend(pid) from pg_stat_replication')
  const pending = Array.from({ length: 20 }, () => lab.ask({}, { jwts: [{ audience: ['payments'] }] }))
  await expect.poll(() => endWaits('pg_cancel_backend')).toBeGreaterThan(0)
  const replies = await Promise.all(pending)
  await pair.primary.stopHard()
  await pair.thaw()
  await pair.promote()
  const rows = await pair.sql<{ body: string }>(atStandby(), 'select body from log_entry')
  const entries = rows.map(({ body }) => body).join('\n')
  const released = replies.filter(({ status }) => status === 200)
  const missing = released.filter(({ headers }) => !entries.includes(headers.get('purser-request-id') ?? ''))
  expect(missing).toEqual([])
})
