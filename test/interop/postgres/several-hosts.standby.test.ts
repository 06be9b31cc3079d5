/**
 * A database URL that lists the primary and its standby, as libpq does: the writable host is used, also after a
 * fail-over.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { cli } from '../../support/cli.ts'
import { type Lab, createLab } from '../../support/lab.ts'
import { type TestPurser, audience, startPurser, trustDomain } from '../../support/purser.ts'
import { type StandbyPair, standbyNative, startStandbyPair } from '../../support/standby.ts'

const rootKey = randomBytes(32).toString('base64')
let pair: StandbyPair
let folder: string
let url: string
let purser: TestPurser
let lab: Lab

beforeAll(async () => {
  pair = await startStandbyPair(standbyNative() ?? '', { synchronous: true })
  folder = await mkdtemp(join(tmpdir(), 'purser-hosts-'))
  const [primary, standby] = [pair.primary, pair.standby].map((server) => new URL(server.url).host)
  url = `postgres://postgres@${standby},${primary}/postgres?target_session_attrs=read-write`
})
afterAll(async () => {
  await purser?.stop()
  await pair?.stop()
  await rm(folder, { recursive: true, force: true })
})

const run = (line: string[], databaseUrl = url) =>
  cli(line, {
    env: {
      PURSER_TRUST_DOMAIN: trustDomain,
      PURSER_PUBLIC_URL: audience,
      PURSER_LISTEN: '127.0.0.1:0',
      PURSER_DATA_DIR: folder,
      PURSER_ROOT_KEY: rootKey,
      DATABASE_URL: databaseUrl,
    },
  })

const listening = `select from pg_stat_activity where application_name = 'purser' and query like 'listen %'`

it('doctor reports a standby alone, and no migration runs on it', async () => {
  const { out } = await run(['doctor'], pair.standby.url)
  expect(out).toContain('this is a standby, which refuses writes')
  const only = `${pair.standby.url}?target_session_attrs=read-write`
  const { host } = new URL(only)
  const refused = await run(['migrate'], only)
  expect(refused.code).toBe(5)
  expect(refused.err).toContain(`the database can't be reached (no host takes writes: ${host} (read-only))`)
  expect((await run(['doctor'], only)).out).toContain(`no host takes writes: ${host} (read-only)`)
})

it('the primary is migrated, examined and served, at any position in the list', async () => {
  expect((await run(['migrate'])).code).toBe(0)
  purser = await startPurser({ existing: { url, rootKey, admin: '', dataDir: folder } })
  lab = await createLab(purser)
  await lab.get()
  expect((await run(['doctor'])).out).not.toContain('this is a standby')
  expect(await pair.sql(pair.primary, listening)).not.toEqual([])
})

it('a server continues at the promoted standby once an operator accepts the fail-over', async () => {
  await lab.get()
  await pair.primary.stopHard()
  await pair.promote()
  await expect
    .poll(async () => (await purser.call('GET', '/readyz')).body.checks)
    .toContainEqual({ name: 'log', ok: false, detail: expect.stringContaining('purser log accept-failover') })
  const accepted = await run(['log', 'accept-failover', '--reason', 'the standby was synchronous'])
  expect(accepted).toMatchObject({ code: 0, out: expect.stringMatching(/^server +\d+\/2, before \d+\/1\n/) })
  await expect.poll(async () => (await lab.ask({}, { jwts: [{ audience: ['payments'] }] })).status).toBe(200)
  await expect.poll(async () => (await purser.call('GET', '/readyz')).status).toBe(200)
  await expect.poll(() => pair.sql(pair.standby, listening)).not.toEqual([])
})
