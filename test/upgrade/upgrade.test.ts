/**
 * The database of an older server with every kind of row (test/fixtures/upgrade), under the present migrations and
 * server: at the time of the fixture, a month later, and now.
 */
import { verifyExport } from '@purser/sdk/verify'
import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCsr } from '@purser/sdk/csr'
import { migrations } from '../../migrations/index.ts'
import { migrate, pendingMigrations } from '../../src/store/migrate.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { podClaims } from '../fixtures/upgrade/register.ts'
import { cli } from '../support/cli.ts'
import { type Answer, type TestPurser } from '../support/purser.ts'
import { rolesAt } from '../support/leases.ts'
import { type TargetServer, startTarget } from '../support/target.ts'
import { type OldDatabase, type OldPod, facts, loadOldDatabase, makeOldRoles, oldProof } from '../support/upgrade.ts'

/** The migrations of the fixture. */
const applied = ['001-foundation', '002-secrets']
const later = migrations.map(({ name }) => name).filter((name) => !applied.includes(name))
const csr = createCsr(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
const receipts = Object.values(facts.pods).map(({ receipt }) => receipt)

describe('the later migrations', () => {
  let old: OldDatabase
  beforeAll(async () => {
    old = await loadOldDatabase({ host: '127.0.0.1', port: 5432 })
  })
  afterAll(() => old.drop())

  it('are each applied to it, in order', async () => {
    const db = openPostgres({ url: old.url })
    try {
      expect(await pendingMigrations(db)).toEqual(later)
      for (const name of later) {
        const upTo = migrations.slice(0, migrations.findIndex((migration) => migration.name === name) + 1)
        expect(await migrate(db, upTo)).toEqual([name])
      }
      expect(await pendingMigrations(db)).toEqual([])
    } finally {
      await db.close()
    }
  })
})

const linesOf = (verb: string): string =>
  later.length === 0 ? 'the schema is up to date\n' : later.map((name) => `${verb} ${name}\n`).join('')

type Upgraded = {
  old: OldDatabase
  target: TargetServer
  purser: TestPurser
  now: () => Date
  advance: (seconds: number) => void
  stop: () => Promise<void>
}

/** @param lateSeconds from when the fixture was made; a number that is left out is the machine's own time */
async function upgraded(lateSeconds?: number): Promise<Upgraded> {
  const startedAt = Date.now()
  const madeAt = Date.parse(facts.madeAt)
  let advanced = 0
  const ownTime = (offset: number) => madeAt + (offset + advanced) * 1000 + Date.now() - startedAt
  const now = () => new Date(lateSeconds === undefined ? Date.now() : ownTime(lateSeconds))
  const target = await startTarget()
  await makeOldRoles(target)
  const old = await loadOldDatabase(target)
  expect(await cli(['migrate', '--dry-run'], { env: old.env })).toMatchObject({ code: 0, out: linesOf('missing') })
  expect(await cli(['migrate'], { env: old.env })).toMatchObject({ code: 0, out: linesOf('applied') })
  expect((await cli(['migrate'], { env: old.env })).out).toBe('the schema is up to date\n')
  const purser = await old.start(lateSeconds === undefined ? undefined : now)
  return {
    old,
    target,
    purser,
    now,
    advance: (seconds) => void (advanced += seconds),
    async stop() {
      await purser.stop()
      await old.drop()
      await target.stop()
    },
  }
}

async function expectLogVerifies(purser: TestPurser): Promise<void> {
  const lines = (await purser.asAdmin('GET', '/api/v1/audit/export')).text.split('\n')
  // The head of the last night and its keys, as an auditor stored them.
  const report = await verifyExport(lines, {
    vkeys: facts.vkeys,
    checkpoints: [...facts.heads, facts.logHead],
    receipts,
  })
  expect(report.problems).toEqual([])
  expect(report.redacted).toBeGreaterThanOrEqual(6)
  expect(report.proved.join('\n')).toContain('redacted entries is covered')
}

const path = (name: string): string => `/api/v1/secrets/prod/${name}`
const rotationOf = async (purser: TestPurser, name: string): Promise<{ state: string } & Record<string, unknown>> =>
  (await purser.asAdmin('GET', `${path(name)}:rotation`)).body['rotation'] as { state: string }
const leaseOf = async (purser: TestPurser, { lease }: OldPod): Promise<string> => {
  const { items } = (await purser.asAdmin('GET', '/api/v1/leases')).body
  return (items as { id: string; state: string }[]).find(({ id }) => id === lease)?.state ?? 'none'
}
const as = (purser: TestPurser, { testOnlyAccessToken: token }: OldPod, method: string, to: string, body?: object) =>
  purser.call(method, to, body, { token })
const self = async (purser: TestPurser, pod: OldPod): Promise<number> =>
  (await as(purser, pod, 'GET', '/api/v1/credentials/self')).status
const attest = async ({ purser, now }: Upgraded, claims: Record<string, unknown>, more: object = {}): Promise<Answer> =>
  purser.call('POST', '/api/v1/credentials', { proof: await oldProof(claims, now()), ...more })

/** Whether a role of the rotator can be used. */
const canLogIn = async ({ target }: Upgraded, role: string): Promise<unknown> =>
  (await target.sql('select rolcanlogin as can from pg_roles where rolname = $1', [role]))[0]?.['can']

describe('the present server at the time of the fixture', () => {
  const { first, second, left, blocked, web, paused, api } = facts.pods
  let upgrade: Upgraded
  let purser: TestPurser
  beforeAll(async () => {
    upgrade = await upgraded(0)
    purser = upgrade.purser
  })
  afterAll(() => upgrade?.stop())

  it('still refuses revoked, ended and disabled identities', async () => {
    for (const pod of [left, blocked, web, paused, facts.pods.blockedApi]) expect(await self(purser, pod)).toBe(401)
    const introspected = await purser.asAdmin('POST', '/api/v1/introspect', { token: facts.revoked.testOnlyJwt })
    expect(introspected.body).toEqual({ active: false })
    const secondAttestation = await attest(upgrade, podClaims('api-1', 'b'), { x509: { csr } })
    expect([secondAttestation.status, secondAttestation.body.code]).toEqual([401, 'attestation_failed'])
    expect((await attest(upgrade, { sub: 'paused' })).status).toBe(401)
    expect((await attest(upgrade, { sub: 'gone' })).status).toBe(401)
  })

  it('is ready with the head outside the database', async () => {
    expect((await purser.call('GET', '/readyz')).status).toBe(200)
    const [, size] = (await purser.call('GET', '/log/1/checkpoint')).text.split('\n')
    expect(Number(size)).toBeGreaterThanOrEqual(Number(facts.logHead.split('\n')[1]))
  })

  it('accepts existing credentials, and new attestations', async () => {
    for (const pod of [first, second, api]) expect(await self(purser, pod)).toBe(200)
    // Attesting again continues the session of its pod.
    const continued = await attest(upgrade, podClaims('api-0', 'a'), { x509: { csr }, secrets: ['prod/shared'] })
    expect(continued.status, continued.text + purser.logs.slice(-5).join('')).toBe(200)
    expect(continued.body['session']).toMatchObject({ id: api.session })
    expect(continued.body['secrets']).toMatchObject([{ version: 3, data: { key: 'three' } }])
    const request = { x509: { csr }, jwts: [{ audience: ['payments'] }], accessToken: {}, databases: ['orders'] }
    const reply = await attest(upgrade, { sub: 'pod-4' }, { ...request, secrets: ['prod/supplied'] })
    expect(reply.body).toMatchObject({ secrets: [{ data: { password: 'second' } }], databases: [{ name: 'orders' }] })
  })

  it('opens values, and none that was destroyed or removed', async () => {
    const read = (name: string) =>
      purser.call('GET', path(name), undefined, { token: purser.admin, headers: { 'purser-reason': 'test' } })
    expect((await read('shared')).body['data']).toEqual({ key: 'three' })
    expect((await read('shared?version=2')).body['data']).toEqual({ key: 'two' })
    expect((await read('shared?version=1')).status).toBeGreaterThanOrEqual(404)
    expect((await read('removed')).status).toBe(404)
  })

  it('answers a repeated request with the recorded result', async () => {
    const { path: to, body, key } = facts.idempotent
    const repeat = await purser.call('POST', to, body, {
      token: purser.admin,
      headers: { 'idempotency-key': key },
    })
    expect([repeat.status, repeat.body['rotation']]).toEqual([202, expect.objectContaining({ fromVersion: 2 })])
  })

  it('waits for the consumers of a rotation, and completes it when they have switched', async () => {
    await purser.runJobs()
    for (const name of ['db', 'alert', 'supplied']) expect((await rotationOf(purser, name)).state).toBe('waiting')
    // One has not switched; one left, and the `holdSeconds` of its entry have not passed.
    const { waitingFor } = (await purser.asAdmin('GET', `${path('db')}:rotation`)).body
    expect(waitingFor).toBe(2)
    expect([await canLogIn(upgrade, 'orders_a'), await canLogIn(upgrade, 'orders_b')]).toEqual([true, true])
    for (const name of ['db', 'alert', 'supplied'])
      for (const pod of [first, second]) expect((await as(purser, pod, 'GET', path(name))).status).toBe(200)
    upgrade.advance(600)
    await expect
      .poll(async () => {
        await purser.runJobs()
        return Promise.all(['db', 'alert', 'supplied'].map(async (name) => (await rotationOf(purser, name)).state))
      })
      .toEqual(['retired', 'retired', 'retired'])
    expect([await canLogIn(upgrade, 'orders_a'), await canLogIn(upgrade, 'orders_b')]).toEqual([false, true])
    // A policy of the fixture begins the next one.
    const next = await purser.asAdmin('POST', `${path('alert')}:rotate`, {})
    expect(next.status).toBe(202)
  })

  it('extends leases, and ends them with their roles', async () => {
    expect(await leaseOf(purser, left)).toBe('revoked')
    expect((await as(purser, second, 'POST', `/api/v1/leases/${second.lease}:renew`)).status).toBe(200)
    expect((await as(purser, first, 'POST', `/api/v1/leases/${first.lease}:revoke`)).status).toBeLessThan(300)
    await purser.asAdmin('POST', '/api/v1/revocations', { session: second.session })
    await expect
      .poll(async () => {
        await purser.runJobs()
        return Promise.all([leaseOf(purser, first), leaseOf(purser, second)])
      })
      .toEqual(['revoked', 'revoked'])
    const roles = await rolesAt(upgrade.target)
    for (const { username } of [first, second]) expect(roles).not.toContain(username)
  })

  it('has a log that verifies, with the redacted entries', async () => {
    await expectLogVerifies(purser)
    const [range] = facts.redactions
    const { body } = await purser.asAdmin('GET', `/api/v1/audit/entries?order=asc&fromIndex=${range?.from}&limit=3`)
    expect(body['items']).toMatchObject([{ redacted: true }, { redacted: true }, { redacted: true }])
  })

  it('keeps its keys, wraps values under the newest, and lists revoked certificates', async () => {
    const keys = (await purser.asAdmin('GET', '/api/v1/keys')).body['items'] as { id: string; kind: string }[]
    const kinds = ['root-ca', 'issuing-ca', 'jwt-es256', 'jwt-rs256', 'log', 'mac', 'keyring']
    expect(keys.map(({ kind }) => kind)).toEqual(expect.arrayContaining(kinds))
    await expect
      .poll(async () => {
        await purser.runJobs()
        return (await purser.knex('secret_version').whereNotNull('ciphertext').distinct('wrapping_key_id')).length
      })
      .toBe(1)
    const issuing = keys.filter(({ kind }) => kind === 'issuing-ca')
    const lists = await Promise.all(issuing.map(({ id }) => fetch(`${purser.url}/crl/${id}`)))
    const bytes = await Promise.all(lists.map(async (reply) => Buffer.from(await reply.arrayBuffer()).toString('hex')))
    expect(bytes.filter((list) => list.includes(facts.revoked.serialNumber)).length).toBe(1)
  })
})

describe('the present server two weeks later', () => {
  let upgrade: Upgraded
  let purser: TestPurser
  beforeAll(async () => {
    upgrade = await upgraded(14 * 86_400)
    purser = upgrade.purser
  })
  afterAll(() => upgrade?.stop())

  it('has ended what expired meanwhile', async () => {
    for (const pod of Object.values(facts.pods)) expect(await self(purser, pod)).toBe(401)
    await expect
      .poll(async () => {
        await purser.runJobs()
        const rotations = ['db', 'alert', 'supplied'].map(async (name) => (await rotationOf(purser, name)).state)
        return Promise.all([leaseOf(purser, facts.pods.first), leaseOf(purser, facts.pods.second), ...rotations])
      })
      .toEqual(['revoked', 'revoked', 'retired', 'retired', 'retired'])
    expect(await rolesAt(upgrade.target)).toEqual([])
    expect([await canLogIn(upgrade, 'orders_a'), await canLogIn(upgrade, 'orders_b')]).toEqual([false, true])
  })

  it('issues, and its log verifies', async () => {
    const reply = await attest(upgrade, podClaims('api-2', 'd'), { x509: { csr }, secrets: ['prod/shared'] })
    expect(reply.status).toBe(200)
    await expectLogVerifies(purser)
  })
})

describe('the present server now', () => {
  let upgrade: Upgraded
  beforeAll(async () => {
    upgrade = await upgraded()
  })
  afterAll(() => upgrade?.stop())

  it('is ready, and continues from the head outside the database', async () => {
    const { purser } = upgrade
    expect((await purser.call('GET', '/readyz')).status).toBe(200)
    await purser.runJobs()
    expect((await attest(upgrade, podClaims('api-2', 'd'))).status).toBe(200)
    const headSize = () => readFileSync(join(purser.dataDir, 'log-head'), 'utf8').split('\n')[1]
    await expect.poll(() => Number(headSize())).toBeGreaterThan(Number(facts.logHead.split('\n')[1]))
  })
})
