/** Three replicas on a Postgres that was restored to an older state: the one that detects it closes the log for all. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseCheckpoint, parseNote } from '@purser/sdk/verify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cli } from '../support/cli.ts'
import { diagnose } from '../support/doctor.ts'
import { createIssuer, type Issuer, registerLab } from '../support/issuer.ts'
import { issueMany } from '../support/log-traffic.ts'
import { createPlace } from '../support/place.ts'
import { type Answer, type TestPurser, startPurser } from '../support/purser.ts'

type Place = Awaited<ReturnType<typeof createPlace>>
type Check = { name: string; ok: boolean; detail?: string }

const ask = async (purser: TestPurser, issuer: Issuer): Promise<Answer> =>
  purser.call('POST', '/api/v1/credentials', { proof: { kind: 'jwt', token: await issuer.token() } })

/** Starts another replica with its own data directory. */
async function joinReplica(place: Place, admin: string, dataDir: string): Promise<TestPurser> {
  const { DATABASE_URL: url = '', PURSER_ROOT_KEY: rootKey = '' } = place.env()
  return startPurser({ existing: { url, rootKey, dataDir, admin } })
}

async function expectClosed(purser: TestPurser, issuer: Issuer): Promise<void> {
  expect((await ask(purser, issuer)).body).toMatchObject({ status: 503, code: 'issuing_closed' })
  expect((await purser.call('GET', '/log/1/checkpoint')).body.code).toBe('issuing_closed')
  expect((await purser.call('GET', '/log/1/tile/0/000.p/1')).body.code).toBe('issuing_closed')
  const ready = await purser.call('GET', '/readyz')
  expect(ready.status).toBe(503)
  const log = (ready.body.checks as Check[]).find(({ name }) => name === 'log')
  expect(log).toMatchObject({ ok: false, detail: expect.stringContaining('purser log new-epoch') })
  expect(log?.detail).not.toContain(purser.dataDir)
}

describe('replicas on a restored database', () => {
  let place: Place
  let issuer: Issuer
  let admin: string
  let dirs: string[]
  let first: TestPurser
  let second: TestPurser
  let third: TestPurser
  /** The last head that the first replica served before the restore. */
  let served: number

  beforeAll(async () => {
    dirs = await Promise.all([1, 2, 3].map(() => mkdtemp(join(tmpdir(), 'purser-replica-'))))
    place = await createPlace('postgres')
    issuer = await createIssuer()
    first = await place.start()
    ;({ admin } = first)
    await registerLab(first, issuer)
    await issueMany(first, issuer, 3)
    await first.stop()
    const putBack = await place.keep()
    first = await place.start(admin)
    await issueMany(first, issuer, 8)
    served = parseCheckpoint(parseNote((await first.call('GET', '/log/1/checkpoint')).text).text).size
    await first.stop()
    await putBack()
  })
  afterAll(async () => {
    await Promise.all([first, second, third].map((purser) => purser?.stop()))
    await place.remove()
    for (const dir of dirs) await rm(dir, { recursive: true, force: true })
  })

  it('a replica without a stored head issues until one with a head starts: then neither issues or serves a head', async () => {
    second = await joinReplica(place, admin, dirs[0] ?? '')
    expect((await ask(second, issuer)).status).toBe(200)
    first = await place.start(admin)
    await expectClosed(first, issuer)
    await expect.poll(async () => (await second.call('GET', '/readyz')).status).toBe(503)
    await expect.poll(async () => (await second.call('GET', '/log/1/checkpoint')).status).toBe(503)
    await expectClosed(second, issuer)
  })

  it('the database stores the closing and its reason; nothing is appended any more', async () => {
    const head = await first.knex('log_head').first()
    expect(head).toMatchObject({
      issuing: false,
      closed_reason: expect.stringContaining(`knows a log of ${served} entries`),
    })
    const reply = await first.knex.raw<{ rows: { reply: object }[] }>(
      `select log_append(?, 1, '[]', '{refusable}') as reply`,
      ['ffffffff-0000-4000-8000-000000000000'],
    )
    expect(reply.rows[0]?.reply).not.toHaveProperty('verdicts')
  })

  it('a third one, with an empty data directory, does not become ready, issue or serve a head', async () => {
    third = await joinReplica(place, admin, dirs[1] ?? '')
    await expectClosed(third, issuer)
    expect(third.logs.find((line) => line.includes('"log.closed"'))).toContain(`knows a log of ${served} entries`)
  })

  it('nor does any of them after an operator tries to open the log', async () => {
    const opened = await third.call('POST', '/api/v1/log:open', undefined, { token: admin, headers: { 'purser-reason': 'x' } }) // prettier-ignore
    expect(opened.body.code).toBe('issuing_closed')
    await expectClosed(third, issuer)
  })

  it('doctor reports the reason and the remedy, on a host without a stored head', async () => {
    const env = { ...place.env(), PURSER_DATA_DIR: dirs[2] ?? '', PURSER_LISTEN: '127.0.0.1:0' }
    const { code, out } = await diagnose(env)
    expect(code).toBe(1)
    expect(out).toMatch(/FAIL +log +closed since \S+: \S+ knows a log of \d+ entries/)
    expect(out).toContain('purser log new-epoch')
  })

  it('a new epoch opens it again, and names the reason', async () => {
    await Promise.all([first.stop(), second.stop(), third.stop()])
    const { code, out } = await cli(['log', 'new-epoch', '--reason', 'restored'], { env: place.env() })
    expect(code).toBe(0)
    expect(out).toMatch(/\nclosed +\S+ knows a log of/)
    first = await place.start()
    second = await joinReplica(place, first.admin, dirs[0] ?? '')
    third = await joinReplica(place, first.admin, dirs[1] ?? '')
    await first.asAdmin('POST', '/api/v1/log:open', undefined, { 'purser-reason': 'reviewed' })
    for (const purser of [first, second, third]) {
      await expect.poll(async () => (await purser.call('GET', '/readyz')).status).toBe(200)
      expect((await ask(purser, issuer)).status).toBe(200)
    }
    const { body } = await first.asAdmin('GET', '/api/v1/audit/entries?action=log.epoch')
    expect(body.items).toMatchObject([
      { entry: { detail: { previous: { closed: { reason: expect.stringContaining('knows a log of') } } } } },
    ])
  })
})
