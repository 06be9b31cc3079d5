/** Databases as operators configure them, through the front door. No reply contains their credential. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { definitionFor, shopEntry } from '../support/leases.ts'
import { type Ask, createAsk, entriesOf, fault, readLog } from '../support/operator.ts'
import { createIssuer, registerLab } from '../support/issuer.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { type TargetServer, startTarget } from '../support/target.ts'
import { hostileNames } from '../support/hostile-names.ts'

describe('databases', () => {
  let target: TargetServer
  let purser: TestPurser
  let ask: Ask
  beforeAll(async () => {
    target = await startTarget()
    purser = await startPurser({ store: 'postgres' })
    ask = createAsk(purser)
    await registerLab(purser, await createIssuer())
  })
  afterAll(async () => {
    await purser?.stop()
    await target.stop()
  })
  const body = (more: object = {}) => definitionFor(target, more)

  it.each([
    [{ kind: 'mysql' }, '400 invalid_request'],
    [{ superuser: true }, '400 invalid_request'],
    [{ roles: { grants: [], superuser: true } }, '400 invalid_request'],
    [{ roles: { grants: [], sql: 'create role x superuser' } }, '400 invalid_request'],
    [{ roles: { grants: [{ schema: 'shop', objects: 'tables', privileges: ['all'] }] } }, '400 invalid_request'],
    [{ roles: { grants: [], memberOf: ['pg_read_server_files'] } }, '422 impossible /roles/memberOf/0'],
    [{ roles: { grants: [], memberOf: ['purser_admin'] } }, '422 impossible /roles/memberOf/0'],
    [{ admin: { username: 'purser_admin' } }, '422 impossible /admin/password'],
    [{ tls: { insecure: true }, host: 'db.prod.svc' }, '422 impossible /tls/insecure'],
    [{ host: "x' --" }, '400 invalid_request'],
    [{ defaultLifetimeSeconds: 100, maxLifetimeSeconds: 10 }, '422 impossible /defaultLifetimeSeconds'],
  ])('are refused with %j', async (more, expected) => {
    expect(fault(await ask('createDatabase', { body: body({ name: 'refused', ...more }) }))).toMatch(expected)
    expect((await ask('getDatabase', { name: 'refused' })).status).toBe(404)
  })

  it('keep hostile names exactly, or are refused', async () => {
    for (const [n, name] of hostileNames.entries()) {
      const grants = [{ schema: name, objects: 'tables', privileges: ['select'] }]
      const answer = await ask('createDatabase', {
        body: body({ name: `h-${n}`, roles: { grants, memberOf: [name] } }),
      })
      expect([400, 422, 201]).toContain(answer.status)
      if (answer.status === 201) {
        expect(answer.body).toMatchObject({ roles: { grants, memberOf: [name] } })
        await ask('deleteDatabase', { name: `h-${n}`, ifMatch: 1 })
      }
    }
  })

  it('are created, shown without their credential, replaced with a precondition, and deleted', async () => {
    const creation = await ask('createDatabase', { body: body({ name: 'life' }), idempotencyKey: 'k1' })
    expect([creation.status, creation.headers.get('etag')]).toEqual([201, '"1"'])
    expect(creation.body['admin']).toEqual({ username: 'purser_admin' })
    expect((await ask('createDatabase', { body: body({ name: 'life' }) })).body.code).toBe('already_exists')
    expect((await ask('createDatabase', { body: body({ name: 'life' }), idempotencyKey: 'k1' })).body['id']).toBe(
      creation.body['id'],
    )
    const replacement = body({ name: 'life', admin: { username: 'purser_admin' }, defaultLifetimeSeconds: 60 })
    expect((await ask('replaceDatabase', { name: 'life', body: replacement })).status).toBe(428)
    expect((await ask('replaceDatabase', { name: 'life', body: replacement, ifMatch: 7 })).status).toBe(412)
    const replaced = await ask('replaceDatabase', { name: 'life', body: replacement, ifMatch: 1 })
    expect([replaced.status, replaced.body['defaultLifetimeSeconds'], replaced.body['revision']]).toEqual([200, 60, 2])
    // The credential was sealed again for its revision: it still opens the database.
    expect((await ask('checkDatabase', { name: 'life' })).body['ok']).toBe(true)
    for (const more of [{ host: 'localhost' }, { port: 5433 }, { tls: {} }]) {
      const answer = await ask('replaceDatabase', { name: 'life', body: { ...replacement, ...more }, ifMatch: 2 })
      expect(fault(answer)).toBe('422 impossible /admin/password')
    }
    expect((await ask('listDatabases')).text).not.toContain(target.admin.password)
    expect((await ask('deleteDatabase', { name: 'life', ifMatch: 2 })).status).toBe(204)
    expect((await ask('getDatabase', { name: 'life' })).status).toBe(404)
    const log = JSON.stringify(await readLog(purser))
    expect(log).not.toContain(target.admin.password)
    const [row] = await purser.knex('database').where({ name: 'life' })
    expect([row.ciphertext, row.data_key]).toEqual([null, null])
  })

  it('cannot be deleted while an entry grants them', async () => {
    await ask('createDatabase', { body: body() })
    await purser.asAdmin('POST', '/api/v1/workloads', shopEntry({ databases: ['orders'] }))
    expect(fault(await ask('deleteDatabase', { name: 'orders', ifMatch: 1 }))).toBe('409 in_use')
  })

  it('report their problems when checked', async () => {
    const check = async (name: string, more: object) => {
      await ask('createDatabase', { body: body({ name, ...more }) })
      const { body: report } = await ask('checkDatabase', { name })
      expect(report['ok']).toBe(false)
      return (report['checks'] as { ok: boolean; detail?: string }[])
        .filter((check) => !check.ok)
        .map((check) => check.detail)
    }
    expect(await check('c-port', { port: 1 })).toEqual([expect.stringContaining('can’t be reached')])
    expect(await check('c-tls', { tls: {} })).toEqual(['the server speaks no TLS'])
    expect(await check('c-password', { admin: { username: 'purser_admin', password: 'wrong' } })).toEqual([
      expect.stringContaining('does not take this user and password'),
    ])
    await target.sql(`create role weak login password 'weak-password-1'`)
    expect(await check('c-weak', { admin: { username: 'weak', password: 'weak-password-1' } })).toEqual([
      'it lacks CREATEROLE: alter role "weak" createrole',
      'the administrator may not hand that on; by the owner: grant usage on schema "shop" to "weak" with grant option',
      'the administrator may not hand that on; by the owner: grant select, insert on all tables in schema "shop" to "weak" with grant option',
    ])
    const missing = { grants: [{ schema: 'no such', objects: 'tables', privileges: ['select'] }], memberOf: ['nobody'] }
    expect(await check('c-missing', { roles: missing })).toEqual([
      expect.stringContaining('group role of the definition does not exist'),
      'there is no such schema',
    ])
    const grants = [{ schema: 'shop', objects: 'tables', names: ['item', 'no such'], privileges: ['select'] }]
    expect(await check('c-table', { roles: { grants: grants } })).toEqual(['there is no table no such'])
  })

  describe('whose administrative credential is rotated', () => {
    const stagedRow = async () => purser.knex('database').where({ name: 'orders' }).first()

    it('get a new password, and the old one is refused', async () => {
      const answer = await ask('rotateDatabaseAdmin', { name: 'orders' })
      expect([answer.status, answer.body['revision']]).toEqual([200, 2])
      await expect(target.login(target.admin.username, target.admin.password)).rejects.toThrow()
      expect((await ask('checkDatabase', { name: 'orders' })).body['ok']).toBe(true)
      const entries = await entriesOf(purser, answer.headers.get('purser-request-id'))
      expect(entries.map((entry) => `${entry.action} ${entry.outcome}`)).toEqual([
        'database.rotate-admin intended',
        'database.rotate-admin completed',
      ])
      const row = await stagedRow()
      expect([row.next_ciphertext, row.next_data_key]).toEqual([null, null])
      expect(target.log()).not.toMatch(/alter role [^\n]* password '(?!SCRAM-SHA-256\$)/)
    })

    it('continue the rotation after an outage of the server, and stay usable', async () => {
      await target.stopHard()
      expect((await ask('rotateDatabaseAdmin', { name: 'orders' })).status).toBe(503)
      const before = await stagedRow()
      expect(before.next_ciphertext).not.toBeNull()
      await target.start()
      // A definition that keeps the credential would lose the staged one, which the server may have.
      const replacement = body({ admin: { username: 'purser_admin' } })
      expect(fault(await ask('replaceDatabase', { name: 'orders', body: replacement, ifMatch: 2 }))).toBe(
        '409 conflict /admin/password',
      )
      expect((await ask('checkDatabase', { name: 'orders' })).body['ok']).toBe(true)
      await purser.runJobs()
      expect((await ask('getDatabase', { name: 'orders' })).body['revision']).toBe(3)
      expect((await ask('checkDatabase', { name: 'orders' })).body['ok']).toBe(true)
    })

    it('continue the rotation after a crash between the change and the switch', async () => {
      const before = await stagedRow()
      const answer = await ask('rotateDatabaseAdmin', { name: 'orders' })
      expect(answer.body['revision']).toBe(4)
      const after = await stagedRow()
      // The state when the server had the new one already: the old as current, the new one staged.
      await purser.knex('database').where({ name: 'orders' }).update({
        revision: 3,
        wrapping_key_id: before.wrapping_key_id,
        data_key: before.data_key,
        ciphertext: before.ciphertext,
        next_wrapping_key_id: after.wrapping_key_id,
        next_data_key: after.data_key,
        next_ciphertext: after.ciphertext,
      })
      await purser.knex('job_state').where({ name: 'staged-admins' }).delete()
      const { revision } = await purser.knex('log_head').first('revision')
      await purser
        .knex('database')
        .where({ name: 'orders' })
        .update({ changed: Number(revision) + 1 })
      await purser.knex('log_head').update({ revision: Number(revision) + 1 })
      await expect.poll(async () => (await ask('getDatabase', { name: 'orders' })).body['revision']).toBe(3)
      expect((await ask('checkDatabase', { name: 'orders' })).body['ok']).toBe(true)
      await purser.runJobs()
      expect((await ask('getDatabase', { name: 'orders' })).body['revision']).toBe(4)
      expect((await ask('checkDatabase', { name: 'orders' })).body['ok']).toBe(true)
    })
  })
})
