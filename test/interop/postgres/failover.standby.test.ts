/** Fail-over to a standby when everything else is lost: no head outside the database shows the loss. */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNoteSigner, signCheckpoint } from '@purser/sdk/verify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startOwn } from '../../../src/cli/demo/postgres/own.ts'
import { type CommandResult, cli } from '../../support/cli.ts'
import { diagnose } from '../../support/doctor.ts'
import { type Issuer, createIssuer, registerLab } from '../../support/issuer.ts'
import { issueMany } from '../../support/log-traffic.ts'
import type { OwnPostgres } from '../../support/postgres.ts'
import { type TestPurser, audience, startPurser, trustDomain } from '../../support/purser.ts'
import { type StandbyPair, standbyName, standbyNative, startStandbyPair } from '../../support/standby.ts'
import { cloneDatabase, makeTemplate } from '../../support/template.ts'

type Check = { name: string; ok: boolean; detail?: string }

const rootKey = randomBytes(32).toString('base64')
const native = standbyNative() ?? ''
let dataDir: string
let issuer: Issuer
let admin = ''

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'purser-failover-'))
  issuer = await createIssuer()
})
afterAll(() => rm(dataDir, { recursive: true, force: true }))

const start = async (url: string, env: Record<string, string> = {}): Promise<TestPurser> => {
  const purser = await startPurser({ env, existing: { url, rootKey, dataDir, admin } })
  ;({ admin } = purser)
  return purser
}
const verb = (url: string, args: string[], env: Record<string, string> = {}): Promise<CommandResult> =>
  cli(args, { env: { ...envOf(url), ...env } })
const envOf = (url: string): Record<string, string> => ({
  PURSER_TRUST_DOMAIN: trustDomain,
  PURSER_PUBLIC_URL: audience,
  PURSER_DATA_DIR: dataDir,
  PURSER_ROOT_KEY: rootKey,
  PURSER_LISTEN: '127.0.0.1:0',
  DATABASE_URL: url,
})
const logCheck = async (purser: TestPurser): Promise<Check | undefined> =>
  ((await purser.call('GET', '/readyz')).body.checks as Check[]).find(({ name }) => name === 'log')
const issueStatus = async (purser: TestPurser): Promise<number> => {
  const proof = { kind: 'jwt', token: await issuer.token() }
  return (await purser.call('POST', '/api/v1/credentials', { proof })).status
}
const failovers = async (purser: TestPurser): Promise<Record<string, unknown>[]> => {
  const { body } = await purser.asAdmin('GET', '/api/v1/audit/entries?action=log.failover')
  return (body.items as { entry: { detail: Record<string, unknown> } }[]).map(({ entry }) => entry.detail)
}

describe('an asynchronous standby that takes over', () => {
  let pair: StandbyPair
  let url: string
  let promoted: string
  let purser: TestPurser

  beforeAll(async () => {
    pair = await startStandbyPair(native, { synchronous: false })
    ;({ url } = await cloneDatabase(pair.primary.url, (await makeTemplate(pair.primary.url)).name))
    promoted = Object.assign(new URL(url), { host: new URL(pair.standby.url).host }).href
    purser = await start(url)
    await registerLab(purser, issuer)
    await issueMany(purser, issuer, 5)
    await purser.stop()
    await pair.caughtUp()
    await copyFile(join(dataDir, 'log-head'), join(dataDir, 'log-head.before'))
    await pair.freeze()
    purser = await start(url)
    await issueMany(purser, issuer, 7)
    await purser.stop()
    await pair.primary.stopHard()
    await pair.thaw()
    await pair.promote()
    // The newest head was lost too, in the second before it was written.
    await copyFile(join(dataDir, 'log-head.before'), join(dataDir, 'log-head'))
  })
  afterAll(async () => {
    await purser?.stop()
    await pair?.stop()
  })

  it('is detected by a replica that stored a head, and by one with an empty data directory', async () => {
    const empty = await mkdtemp(join(tmpdir(), 'purser-failover-'))
    purser = await start(promoted)
    const other = await startPurser({ existing: { url: promoted, rootKey, dataDir: empty, admin } })
    for (const replica of [purser, other]) {
      expect(await issueStatus(replica)).toBe(503)
      expect((await replica.call('GET', '/log/1/checkpoint')).body.code).toBe('issuing_closed')
      expect(await logCheck(replica)).toMatchObject({
        ok: false,
        detail: expect.stringContaining('purser log accept-failover'),
      })
    }
    await other.stop()
    await rm(empty, { recursive: true })
  })

  it('accepts no entry, whatever a replica assumes', async () => {
    const batch = ['ffffffff-0000-4000-8000-000000000000']
    const { rows } = await purser.knex.raw<{ rows: { reply: object }[] }>(
      `select log_append(?, 1, '[]', '{refusable}') as reply`,
      batch,
    )
    expect(rows[0]?.reply).not.toHaveProperty('verdicts')
  })

  it('is named by doctor, with both servers and the remedy', async () => {
    const { out } = await diagnose(envOf(promoted))
    expect(out).toMatch(/FAIL +log +the log was written on server \d+\/1, this is \d+\/2/)
    expect(out).toContain('purser log accept-failover')
  })

  it('is not accepted automatically by a promise of synchrony that was broken', async () => {
    await purser.stop()
    purser = await start(promoted, { PURSER_DATABASE_FAILOVER: 'synchronous' })
    expect(await issueStatus(purser)).toBe(503)
    await purser.stop()
    purser = await start(promoted)
  })

  it('is not accepted when a known head shows that entries are lost', async () => {
    const newer = (await purser.knex('log_head').first()) as { size: string }
    const foreignHead = join(dataDir, 'lost-head')
    const key = createNoteSigner('example.org/log/1', generateKeyPairSync('ed25519').privateKey)
    await writeFile(foreignHead, signCheckpoint('example.org/log/1', Number(newer.size) + 7, randomBytes(32), [key]))
    const { code, err } = await verb(promoted, ['log', 'accept-failover', '--reason', 'x', '--known', foreignHead])
    expect([code, err]).toEqual([4, expect.stringContaining('purser log new-epoch')])
    expect(await issueStatus(purser)).toBe(503)
  })

  it('continues once an operator accepts it, without a restart, and the log records it', async () => {
    const reason = 'the old primary was shut down cleanly'
    const { code, out } = await verb(promoted, ['log', 'accept-failover', '--reason', reason])
    expect(code).toBe(0)
    expect(out).toMatch(/^server +\d+\/2, before \d+\/1\n/)
    await expect.poll(() => issueStatus(purser)).toBe(200)
    expect(await failovers(purser)).toMatchObject([
      { from: expect.stringMatching(/\/1$/), to: expect.stringMatching(/\/2$/), basis: 'accepted' },
    ])
    const repeat = await verb(promoted, ['log', 'accept-failover', '--reason', reason])
    expect([repeat.code, repeat.err]).toEqual([1, expect.stringContaining('is already bound to this server')])
  })

  it('a new epoch begins on the present server', async () => {
    await purser.stop()
    await pair.sql({ url: promoted }, `update log_head set server = '1/1'`)
    expect((await verb(promoted, ['log', 'new-epoch', '--reason', 'lost'])).code).toBe(0)
    admin = ''
    purser = await start(promoted)
    await purser.asAdmin('POST', '/api/v1/log:open', undefined, { 'purser-reason': 'reviewed' })
    await expect.poll(() => issueStatus(purser)).toBe(200)
  })
})

describe('synchronous fail-overs in a row', () => {
  const servers: OwnPostgres[] = []
  let url: string
  let purser: TestPurser
  const env = { PURSER_DATABASE_FAILOVER: 'synchronous' }
  const on = (server: OwnPostgres): string => Object.assign(new URL(url), { host: new URL(server.url).host }).href
  let pair: StandbyPair

  const addStandby = async (primary: OwnPostgres): Promise<OwnPostgres> => {
    const settings = { wal_level: 'replica', max_wal_senders: '5' }
    const added = await startOwn({ env: process.env, native, settings, primary: `${primary.url}?application_name=${standbyName}` }) // prettier-ignore
    servers.push(added)
    return added
  }
  const waitForStandby = async (primary: OwnPostgres): Promise<void> => {
    await pair.sql(primary, `alter system set synchronous_standby_names = '${standbyName}'`)
    await pair.sql(primary, 'select pg_reload_conf()')
  }

  beforeAll(async () => {
    pair = await startStandbyPair(native, { synchronous: true })
    servers.push(pair.primary, pair.standby)
    ;({ url } = await cloneDatabase(pair.primary.url, (await makeTemplate(pair.primary.url)).name))
    admin = ''
    await rm(dataDir, { recursive: true })
    dataDir = await mkdtemp(join(tmpdir(), 'purser-failover-'))
    purser = await start(url, env)
    await registerLab(purser, issuer)
  })
  afterAll(async () => {
    await purser?.stop()
    for (const server of servers.toReversed()) await server.stop()
  })

  it('are accepted automatically, four times, while commits wait for a standby', async () => {
    let [primary, standby] = [pair.primary, pair.standby]
    for (let round = 0; round < 4; round++) {
      await issueMany(purser, issuer, 3)
      await purser.stop()
      await primary.stopHard()
      await pair.sql(standby, 'select pg_promote()')
      ;[primary, standby] = [standby, await addStandby(standby)]
      purser = await start(on(primary), env)
      // The new primary has no synchronous standby yet.
      expect(await logCheck(purser)).toMatchObject({ ok: false, detail: expect.stringContaining('synchronous_standby_names') }) // prettier-ignore
      expect(await issueStatus(purser)).toBe(503)
      await waitForStandby(primary)
      await expect.poll(() => issueStatus(purser)).toBe(200)
    }
    const all = await failovers(purser)
    expect(all.map(({ basis }) => basis)).toEqual(Array(4).fill('synchronous'))
    expect(new Set(all.map(({ to }) => String(to).split('/')[1]))).toEqual(new Set(['2', '3', '4', '5']))
    expect((await purser.call('GET', '/api/v1/server')).body.epoch).toBe(1)
  })
})
