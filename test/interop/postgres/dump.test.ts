/**
 * The drill of docs/backup.md with its own commands, the installed pg_dump and pg_restore: the dump is of a Purser
 * under load whose schema another role owns, and is restored after further changes.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { verifyReceipt } from '@purser/sdk/verify'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, inject, it, vi } from 'vitest'
import { brokenGuards } from '../../../src/store/log-guards.ts'
import { cli } from '../../support/cli.ts'
import { type Issuer, createIssuer, registerLab } from '../../support/issuer.ts'
import { type Shop, createShop, definitionFor, rolesAt, shopEntry } from '../../support/leases.ts'
import { type TestPurser, audience, startPurser, trustDomain } from '../../support/purser.ts'
import { type TargetServer, startTarget } from '../../support/target.ts'

type Value = { username: string; password: string }

const page = fileURLToPath(new URL('../../../docs/backup.md', import.meta.url))
const bin = join(process.env['PURSER_TEST_POSTGRES'] ?? '', 'bin')
const rootKey = randomBytes(32).toString('base64')
const suffix = randomBytes(4).toString('hex')
const [owner, app] = [`owner_${suffix}`, `app_${suffix}`]

let target: TargetServer
let issuer: Issuer
let folder: string
let purser: TestPurser
let shop: Shop
let database = `drill_${suffix}`
let [dumped, later]: (Awaited<ReturnType<Shop['arrive']>> | undefined)[] = []
let [before, after]: (Value | undefined)[] = []

const urlAs = (user: string): string => {
  const url = new URL(inject('postgres').url)
  url.username = user
  url.pathname = `/${database}`
  return url.href
}
const env = (): Record<string, string> => ({
  PURSER_TRUST_DOMAIN: trustDomain,
  PURSER_PUBLIC_URL: audience,
  PURSER_DATA_DIR: folder,
  PURSER_ROOT_KEY: rootKey,
  DATABASE_URL: urlAs(app),
  PURSER_MIGRATE_DATABASE_URL: urlAs(owner),
})
const run = (line: string[]) => cli(line, { env: env() })

/** As a superuser of the server, in the present database or in `postgres`. */
async function sql(text: string, where = 'postgres'): Promise<Record<string, unknown>[]> {
  const url = new URL(inject('postgres').url)
  url.pathname = `/${where}`
  const client = new Client({ connectionString: url.href })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(text)).rows
  } finally {
    await client.end()
  }
}

/** Runs a line of the page, as a reader would. */
async function asThePageSays(command: string): Promise<void> {
  const lines = (await readFile(page, 'utf8')).split('\n').map((line) => line.trim())
  const line = lines.find((line) => line.startsWith(`${command} `)) ?? `false # the page has no ${command}`
  await promisify(execFile)('sh', ['-c', line], {
    cwd: folder,
    env: { PATH: `${bin}:${process.env['PATH'] ?? ''}`, ...env() },
  })
}

async function start(admin = ''): Promise<void> {
  purser = await startPurser({
    existing: { url: urlAs(app), rootKey, dataDir: folder, admin },
    env: { PURSER_LIMIT_ADDRESS_PER_SECOND: '100000' },
  })
  shop = createShop(purser, issuer)
}
const read = async (path: string): Promise<unknown> =>
  (await purser.asAdmin('GET', `/api/v1/secrets/${path}`, undefined, { 'purser-reason': 'drill' })).body['data']
const put = (path: string, data: object, version: number) =>
  purser.asAdmin('PUT', `/api/v1/secrets/${path}`, { data }, { 'if-match': `"${version}"` })
async function rotate(): Promise<Value> {
  await purser.asAdmin('POST', '/api/v1/secrets/prod/db:rotate', { deadlineSeconds: 1, onDeadline: 'retire' })
  await vi.waitFor(
    async () => {
      await purser.runJobs()
      const { body } = await purser.asAdmin('GET', '/api/v1/secrets/prod/db:rotation')
      expect(body['rotation']).toMatchObject({ state: 'retired' })
    },
    { timeout: 30_000, interval: 200 },
  )
  return (await read('prod/db')) as Value
}
const opens = async ({ username, password }: Partial<Value> = {}): Promise<boolean> => {
  const client = await target.login(username ?? '', password ?? '').catch(() => undefined)
  await client?.end()
  return client !== undefined
}

beforeAll(async () => {
  target = await startTarget()
  for (const text of ['create role orders_owner nologin', 'grant orders_owner to purser_admin with admin option'])
    await target.sql(text)
  folder = await mkdtemp(join(tmpdir(), 'purser-dump-'))
  issuer = await createIssuer()
  await sql(`create role ${owner} login`)
  await sql(`create role ${app} login`)
  await sql(`create database ${database} owner ${owner}`)
  expect(await run(['migrate'])).toMatchObject({ code: 0 })
  await sql(`grant select, insert, update, delete on all tables in schema public to ${app}`, database)
  await sql(`revoke all on schema_migration_lock from ${app}`, database)

  await start()
  await registerLab(purser, issuer)
  await purser.asAdmin('POST', '/api/v1/databases', definitionFor(target))
  await purser.asAdmin(
    'POST',
    '/api/v1/workloads',
    shopEntry({ databases: ['orders'], secrets: [{ paths: ['prod/*'], actions: ['read'] }] }),
  )
  await put('prod/note', { text: 'kept' }, 0)
  await put('prod/db', { username: 'nobody', password: 'not-yet' }, 0)
  const rotator = { kind: 'postgres', database: 'orders', owner: 'orders_owner', roles: ['orders_a', 'orders_b'], create: true } // prettier-ignore
  await purser.asAdmin('PUT', '/api/v1/secrets/prod/db:rotation', { rotator }, { 'if-match': '"0"' })
  before = await rotate()
  dumped = await shop.arrive()
})
afterAll(async () => {
  await purser?.stop()
  await target?.stop()
  for (const name of [`drill_${suffix}`, `again_${suffix}`]) await sql(`drop database if exists ${name} with (force)`)
  for (const role of [owner, app]) await sql(`drop role if exists ${role}`)
  await rm(folder, { recursive: true, force: true })
})

it('a dump is taken while credentials are issued', async () => {
  const ending = new AbortController()
  let issued = 0
  const load = Array.from({ length: 4 }, async () => {
    while (!ending.signal.aborted) {
      const { status } = await shop.attest({ secrets: ['prod/note'], accessToken: {} })
      expect(status).toBe(200)
      issued++
    }
  })
  let meanwhile = 0
  try {
    await asThePageSays('pg_dump')
    meanwhile = issued
  } finally {
    ending.abort()
    await Promise.all(load)
  }
  expect(meanwhile).toBeGreaterThan(0)
})

it('further changes follow: a role, a value and a rotation that the dump lacks', async () => {
  later = await shop.arrive()
  after = await rotate()
  await put('prod/note', { text: 'lost' }, 1)
  expect([await opens(before), await opens(after), await opens(later.role)]).toEqual([false, true, true])
  await purser.stop()
})

it('the restore into an empty database is complete, including the guards of the log, which the server’s role does not own', async () => {
  database = `again_${suffix}`
  await sql(`create database ${database} owner ${owner}`)
  await asThePageSays('pg_restore')
  const tables = `select count(*)::int as n from pg_tables where schemaname = 'public'`
  expect(await sql(tables, database)).toEqual(await sql(tables, `drill_${suffix}`))
  const shape = `select tablename, indexname, indexdef from pg_indexes where schemaname = 'public' order by 1, 2`
  expect(await sql(shape, database)).toEqual(await sql(shape, `drill_${suffix}`))
  const owners = await sql(`select distinct tableowner from pg_tables where schemaname = 'public'`, database)
  expect(owners).toEqual([{ tableowner: owner }])
  await start('none')
  expect(await brokenGuards(purser.knex)).toEqual([])
  await expect(purser.knex('log_entry').update({ at: new Date() })).rejects.toThrow('append-only')
})

it('the server issues nothing until the lost time is ended, and drops no role until the review', async () => {
  expect((await purser.call('GET', '/readyz')).status).toBe(503)
  expect((await shop.attest()).status).toBe(503)
  await purser.stop()
  const checked = await run(['backup', 'check'])
  expect(checked).toMatchObject({ code: 1, out: expect.stringMatching(/^FAIL +epoch +no new epoch has begun$/m) })
  const epoch = await run(['log', 'new-epoch', '--reason', 'restored from the dump'])
  expect({ code: epoch.code, lost: /lost +entries \d+ to \d+/.test(epoch.out) }).toEqual({ code: 0, lost: true })
  await start()
  for (const pod of [dumped, later]) {
    const self = await purser.call('GET', '/api/v1/credentials/self', undefined, { token: pod?.token ?? '' })
    expect(self.status).toBe(401)
  }
  await purser.runJobs()
  expect(await rolesAt(target)).toEqual(expect.arrayContaining([dumped?.role.username, later?.role.username]))
})

it('the check names the findings', async () => {
  await purser.stop()
  const { code, out } = await run(['backup', 'check', '--since', new Date(Date.now() - 600_000).toISOString()])
  expect(code).toBe(1)
  expect(out).toMatch(/^FAIL +rotators +1 live values no longer work at their target: prod\/db$/m)
  expect(out).toMatch(/^ok +values +2 live values decrypt with this root key$/m)
  expect(out).toMatch(/^warn +leases +roles created after the backup may exist in orders$/m)
  expect(out).toMatch(/^note +epoch +issuing is closed/m)
  expect(out).toMatch(/^note +versions +2 changed /m)
  await start(purser.admin)
})

it('after the review, roles of the lost time and of ended sessions are dropped, the rotation runs again, and the server issues', async () => {
  expect((await purser.asAdmin('POST', '/api/v1/log:open', undefined, { 'purser-reason': 'reviewed' })).status).toBeLessThan(300) // prettier-ignore
  // The scan ran within the minute before the dump.
  await purser.knex('job_state').where({ name: 'orphan-roles' }).delete()
  await purser.runJobs()
  await purser.runJobs()
  expect(await rolesAt(target)).toEqual([])
  expect([await opens(dumped?.role), await opens(later?.role)]).toEqual([false, false])
  const rotation = await rotate()
  expect([await opens(rotation), await opens(after), await opens(before)]).toEqual([true, false, false])
  expect(await read('prod/note')).toEqual({ text: 'kept' })
  expect((await put('prod/note', { text: 'again' }, 1)).body['version']).toBe(2)
  const { status, body } = await shop.attest({ secrets: ['prod/note'], databases: ['orders'] })
  expect(status).toBe(200)
  expect(() => verifyReceipt(body['receipt'], { vkeys: purser.vkeys })).not.toThrow()
  await purser.stop()
  const { code, out } = await run(['backup', 'check'])
  expect([code, /^ok +rotators +1 live values work at their target$/m.test(out)]).toEqual([0, true])
})
