/** Roles of their own for sessions, at a real Postgres: issued, renewed, ended, and dropped after every fault. */
import { verifyReceipt } from '@purser/sdk/verify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ageEntries } from '../support/age-entries.ts'
import { type Shop, definitionFor, rolesAt, shopEntry, startShop } from '../support/leases.ts'
import { entriesOf, fault, readLog } from '../support/operator.ts'
import { type TargetServer, startTarget } from '../support/target.ts'
import { frontDoorStores } from '../support/stores.ts'

describe.each(frontDoorStores)('leases on %s', (store) => {
  let target: TargetServer
  let shop: Shop
  beforeAll(async () => {
    target = await startTarget()
    shop = await startShop(target, { store })
  })
  afterAll(async () => {
    await shop?.purser.stop()
    await target.stop()
  })

  const admin = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    shop.purser.call(method, path, body, { token: shop.purser.admin, headers })
  const revoke = (lease: string, token: string) =>
    shop.purser.call('POST', `/api/v1/leases/${lease}:revoke`, undefined, { token })
  const renew = (lease: string, token: string) =>
    shop.purser.call('POST', `/api/v1/leases/${lease}:renew`, undefined, { token })
  const isDropped = async (username: string): Promise<boolean> => !(await rolesAt(target)).includes(username)
  const settle = () => shop.purser.runJobs()
  const setGrants = async (grants: object) => {
    const { body } = await admin('GET', '/api/v1/workloads/shop')
    const headers = { 'if-match': `"${String(body['revision'])}"` }
    expect((await admin('PUT', '/api/v1/workloads/shop', shopEntry(grants), headers)).status).toBe(200)
  }

  it('are issued with the credentials: a working role, an intent in the log before it, and its entry', async () => {
    const { status, body, headers } = await shop.attest({ databases: ['orders'], jwts: [] })
    expect(status).toBe(200)
    const [role] = body['databases'] as {
      name: string
      lease: string
      username: string
      password: string
      expiresAt: string
    }[]
    expect(role).toMatchObject({ name: 'orders', lease: expect.stringMatching(/^ls_/) })
    expect(role?.password).toMatch(/^[\w-]{32}$/)
    const client = await target.login(role?.username ?? '', role?.password ?? '')
    expect((await client.query('select name from shop.item')).rows).toEqual([{ name: 'lamp' }])
    await client.end()
    expect(() => verifyReceipt(body['receipt'], { vkeys: shop.purser.vkeys })).not.toThrow()
    const entries = await entriesOf(shop.purser, headers.get('purser-request-id'))
    expect(entries.map((entry) => [entry.action, entry.outcome])).toEqual([
      ['lease.issue', 'intended'],
      ['credentials.issue', 'granted'],
    ])
    expect(entries[1]?.issued?.leases).toEqual([
      { id: role?.lease, database: 'orders', username: role?.username, expiresAt: role?.expiresAt },
    ])
    expect(JSON.stringify(entries)).not.toContain(role?.password)
    expect((await shop.lease(role?.lease ?? '')).state).toBe('active')
    const [valid] = await target.sql<{ rolvaliduntil: Date }>(
      `select rolvaliduntil from pg_roles where rolname = '${role?.username}'`,
    )
    expect(valid?.rolvaliduntil.toISOString()).toBe(new Date(role?.expiresAt ?? '').toISOString())
  })

  it('are issued all or not at all: a refused part or a failed role leaves no role', async () => {
    const before = await rolesAt(target)
    for (const [request, expected] of [
      [{ databases: ['orders', 'billing'] }, '403 not_granted /databases/1'],
      [{ databases: ['orders', 'nowhere'] }, '404 not_found /databases/1'],
      [{ databases: ['orders'], jwts: [{ audience: ['nobody'] }] }, '403 not_granted /jwts'],
      [{ databases: ['orders'], secrets: ['prod/none'] }, '403 not_granted /secrets/0'],
    ] as const) {
      const answer = await shop.attest(request)
      expect(fault(answer)).toBe(expected)
      expect(answer.body).not.toHaveProperty('databases')
    }
    // A second database whose grants fail: the role in the first is dropped again.
    await shop.purser.asAdmin(
      'POST',
      '/api/v1/databases',
      definitionFor(target, {
        name: 'nowhere',
        roles: { grants: [{ schema: 'missing', objects: 'tables', privileges: ['select'] }] },
      }),
    )
    const answer = await shop.attest({ databases: ['orders', 'nowhere'] })
    expect(fault(answer)).toBe('503 unavailable /databases/1')
    expect(answer.body).not.toHaveProperty('databases')
    expect(await rolesAt(target)).toEqual(before)
    const entries = await entriesOf(shop.purser, answer.headers.get('purser-request-id'))
    expect(entries.map((entry) => `${entry.action} ${entry.outcome}`)).toEqual([
      'lease.issue intended',
      'lease.issue intended',
      'lease.issue failed',
      'lease.issue failed',
      'lease.revoke completed',
      'lease.revoke completed',
      'credentials.issue refused',
    ])
    expect(entries.at(-1)?.detail).toMatchObject({ fault: 'missing' })
    expect(await shop.purser.knex('lease').whereNull('ended_at').whereNot({ state: 'active' })).toEqual([])
  })

  it('end with their session, and with their connections', async () => {
    const { role, token, requestId } = await shop.arrive()
    expect(requestId).toMatch(/^req_/)
    const client = await target.login(role.username, role.password)
    const closed = new Promise((resolve) => client.once('end', resolve))
    const answer = await revoke(role.lease, token)
    expect([answer.status, answer.body['state']]).toEqual([200, 'revoked'])
    await closed
    expect(await isDropped(role.username)).toBe(true)
    await expect(target.login(role.username, role.password)).rejects.toThrow()
    const entries = await entriesOf(shop.purser, answer.headers.get('purser-request-id'))
    expect(entries.map((entry) => `${entry.action} ${entry.outcome}`)).toEqual([
      'lease.revoke intended',
      'lease.revoke completed',
      'lease.revoke granted',
    ])
    expect(fault(await renew(role.lease, token))).toBe('409 lease_over')
  })

  it('keep their entries from redaction while they are open', async () => {
    const { body, headers } = await shop.attest({ databases: ['orders'] })
    const [epoch, index] = (headers.get('purser-log-index') ?? '').split('/').map(Number)
    const [role] = body['databases'] as { lease: string }[]
    const take = (from: number) =>
      admin('POST', '/api/v1/log:redact', { epoch, from, to: from + 1, rule: 'a week' }, { 'purser-reason': 'test' })
    // The previous entry is the intent.
    expect([fault(await take(Number(index))), fault(await take(Number(index) - 1))]).toEqual(
      Array(2).fill('409 in_use'),
    )
    expect((await revoke(role?.lease ?? '', shop.purser.admin)).status).toBe(200)
    await ageEntries(shop.purser.knex, 31)
    expect((await take(Number(index))).body['redacted']).toBe(1)
  })

  it('are ended by operators, and by no other session', async () => {
    const { role } = await shop.arrive()
    const stranger = await shop.attest({ accessToken: {} }, 'other')
    const token = (stranger.body['accessToken'] as { token: string }).token
    expect(fault(await revoke(role.lease, token))).toBe('404 not_found')
    expect(fault(await renew(role.lease, token))).toBe('404 not_found')
    expect(fault(await revoke(`ls_${'0'.repeat(32)}`, shop.purser.admin))).toBe('404 not_found')
    expect((await revoke(role.lease.slice(0, -1), shop.purser.admin)).status).toBe(400)
    expect((await revoke(role.lease, shop.purser.admin)).body['state']).toBe('revoked')
    expect(await isDropped(role.username)).toBe(true)
  })

  it('keep their database from being replaced, so that no role is searched elsewhere', async () => {
    const { role } = await shop.arrive()
    const replace = async (more: object) => {
      const { body } = await admin('GET', '/api/v1/databases/orders')
      const headers = { 'if-match': `"${String(body['revision'])}"` }
      return fault(await admin('PUT', '/api/v1/databases/orders', definitionFor(target, more), headers))
    }
    for (const elsewhere of [{ host: 'localhost' }, { port: target.port + 1 }, { database: 'postgres' }])
      expect(await replace(elsewhere)).toBe('409 in_use')
    expect(await replace({ defaultLifetimeSeconds: 601 })).toBe('200 ')
    const open = (await admin('GET', '/api/v1/leases?state=active')).body['items'] as { id: string }[]
    for (const { id } of open) expect((await revoke(id, shop.purser.admin)).body['state']).toBe('revoked')
    expect(await isDropped(role.username)).toBe(true)
    expect(await replace({ host: 'localhost' })).toBe('200 ')
    expect(await replace({})).toBe('200 ')
  })

  it('are renewed by their session up to their maximum lifetime', async () => {
    const { role, token } = await shop.arrive()
    await shop.purser
      .knex('lease')
      .where({ id: role.lease })
      .update({ expires_at: new Date(Date.now() + 30_000) })
    const answer = await renew(role.lease, token)
    expect(answer.status).toBe(200)
    const end = new Date(String(answer.body['expiresAt'])).getTime()
    expect(end).toBeGreaterThan(Date.now() + 500_000)
    const [valid] = await target.sql<{ rolvaliduntil: Date }>(
      `select rolvaliduntil from pg_roles where rolname = '${role.username}'`,
    )
    expect(valid?.rolvaliduntil.getTime()).toBe(end)
    const sessionEnd = new Date(Date.now() + 60_000)
    await shop.purser
      .knex('lease')
      .where({ id: role.lease })
      .update({ expires_at: new Date(Date.now() + 30_000), max_expires_at: sessionEnd })
    expect(new Date(String((await renew(role.lease, token)).body['expiresAt'])).getTime()).toBe(sessionEnd.getTime())
    expect(fault(await renew(role.lease, shop.purser.admin))).toMatch(/^401/)
    const other = await shop.arrive('other')
    expect(fault(await renew(role.lease, other.token))).toBe('404 not_found')
    expect((await revoke(other.role.lease, other.token)).status).toBe(200)
    const past = new Date(Date.now() - 1000)
    await shop.purser.knex('lease').where({ id: role.lease }).update({ expires_at: past })
    expect(fault(await renew(role.lease, token))).toBe('409 lease_over')
    await settle()
    expect(await isDropped(role.username)).toBe(true)
    expect((await shop.lease(role.lease)).state).toBe('revoked')
  })

  it('are not renewed and end once the entry no longer grants the database', async () => {
    const { role, token } = await shop.arrive()
    await setGrants({})
    expect(fault(await renew(role.lease, token))).toMatch(/^(403 not_granted|409 lease_over)$/)
    await settle()
    expect(await isDropped(role.username)).toBe(true)
    await setGrants({ databases: ['orders', 'nowhere'] })
  })

  it.each([
    [
      'is ended by itself',
      'shop',
      (token: string) => shop.purser.call('DELETE', '/api/v1/credentials/self', undefined, { token }),
    ],
    // A revoked workload stays refused.
    ['is revoked', 'ended', (_: string, session: string) => admin('POST', '/api/v1/revocations', { session })],
    ['is of an entry that was disabled', 'shop', () => admin('POST', '/api/v1/workloads/shop:disable')],
  ])('end when their session %s', async (_, sub, act) => {
    const { role, token, session } = await shop.arrive(sub)
    expect((await act(token, session)).status).toBeLessThan(300)
    await settle()
    expect(await isDropped(role.username)).toBe(true)
    expect((await shop.lease(role.lease)).state).toBe('revoked')
    await admin('POST', '/api/v1/workloads/shop:enable')
  })

  it('are listed for operators, by database, session and state', async () => {
    const list = (query: string) => admin('GET', `/api/v1/leases?${query}`)
    const revoked = await list('database=orders&state=revoked&limit=2')
    expect(revoked.status).toBe(200)
    const items = revoked.body['items'] as { id: string; state: string; session: string }[]
    expect(items.map((item) => item.state)).toEqual(['revoked', 'revoked'])
    const next = await list(`database=orders&state=revoked&limit=2&cursor=${String(revoked.body['nextCursor'])}`)
    expect((next.body['items'] as { id: string }[])[0]?.id).not.toBe(items[0]?.id)
    expect((await list('state=revoked&cursor=' + String(revoked.body['nextCursor']))).status).toBe(400)
    expect((await list('database=no-such')).body['items']).toEqual([])
    const text = (await list('limit=200')).text
    expect(text).not.toContain('SCRAM')
  })

  it('leave no password in any row or log', async () => {
    const { role } = await shop.arrive()
    const tables = ['lease', 'database', 'log_entry', 'idempotency', 'job_state']
    const rows = await Promise.all(tables.map((table) => shop.purser.knex(table)))
    for (const text of [
      JSON.stringify(rows),
      shop.purser.logs.join('\n'),
      JSON.stringify(await readLog(shop.purser)),
      target.log(),
    ]) {
      expect(text).not.toContain(role.password)
      expect(text).not.toContain(target.admin.password)
    }
    expect(JSON.stringify(rows) + shop.purser.logs.join('\n')).not.toContain('SCRAM-SHA-256$')
  })
})
