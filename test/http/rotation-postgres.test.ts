/**
 * A database password rotated under a workload that uses it: two roles alternate, and the old one is closed after the
 * workload has switched.
 */
import type { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Clock, createClock } from '../support/clock.ts'
import { type Pod, createPods } from '../support/consumers.ts'
import { definitionFor } from '../support/leases.ts'
import { type Ask, createAsk, fault, readLog } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { type TargetServer, startTarget } from '../support/target.ts'

type Value = { username: string; password: string }

const rotator = { kind: 'postgres', database: 'orders', owner: 'orders_owner', roles: ['orders_a', 'orders_b'] }

describe('the postgres rotator', () => {
  let target: TargetServer
  let purser: TestPurser
  let clock: Clock
  let ask: Ask
  let pod: Pod
  beforeAll(async () => {
    target = await startTarget()
    clock = createClock()
    purser = await startPurser({ store: 'postgres', now: clock.now })
    ask = createAsk(purser)
    for (const text of [
      'create role orders_owner nologin',
      'grant orders_owner to purser_admin with admin option',
      'grant usage, create on schema shop to orders_owner',
      'grant select on shop.item to orders_owner',
    ]) {
      await target.sql(text)
    }
    await purser.asAdmin('POST', '/api/v1/databases', definitionFor(target))
    // Another database of the same server, with an administrator of its own.
    const second = { name: 'second', database: 'shop', admin: { username: 'second_admin', password: 'x' } }
    await purser.asAdmin('POST', '/api/v1/databases', definitionFor(target, second))
    await ask('putSecret', { name: 'prod/db', body: { data: { username: 'nobody', password: 'not-yet' } }, ifMatch: 0 })
    const { start } = await createPods(purser, clock, ['pod-0'], {})
    pod = await start('pod-0')
  })
  afterAll(async () => {
    await purser?.stop()
    await target.stop()
  })

  async function pass(seconds: number): Promise<void> {
    clock.advance(seconds)
    for (let n = 0; n < 4; n++) {
      await purser.runJobs()
      clock.advance(1)
    }
  }
  const state = async () =>
    ((await ask('getRotation', { name: 'prod/db' })).body['rotation'] as { state: string }).state
  const last = async () => (await ask('getRotation', { name: 'prod/db' })).body['rotation'] as Record<string, unknown>
  const fetched = async (): Promise<Value> => {
    expect((await pod.fetch()).status).toBe(200)
    return pod.held()?.data as Value
  }
  const login = ({ username, password }: Value): Promise<Client> => target.login(username, password)
  const refused = (value: Value) => expect(login(value)).rejects.toThrow()

  it.each([
    [{ database: 'none' }, '422 impossible /rotator/database'],
    [{ owner: 'pg_monitor' }, '422 impossible /rotator/owner'],
    [{ owner: 'payroll_owner' }, '422 impossible /rotator/owner'],
    [{ roles: ['orders_a', 'payroll'] }, '422 impossible /rotator/roles/1'],
    [{ roles: ['orders_a', 'orders_owner'] }, '422 impossible /rotator/roles/1'],
    [{ roles: ['purser_admin', 'orders_a'] }, '422 impossible /rotator/roles/0'],
    [{ roles: ['orders_a', 'purser_0badcafe_someone'] }, '422 impossible /rotator/roles/1'],
    [{ roles: ['orders_a', 'second_admin'] }, '422 impossible /rotator/roles/1'],
    [{ roles: ['orders_a'] }, '400 invalid_request'],
  ])('refuses a policy with %j', async (more, expected) => {
    const answer = await ask('putRotationPolicy', {
      name: 'prod/db',
      body: { rotator: { ...rotator, ...more } },
      ifMatch: 0,
    })
    expect(fault(answer)).toContain(expected)
  })

  it('reports what is missing, is retried, and creates roles if the policy says so', async () => {
    await ask('putRotationPolicy', {
      name: 'prod/db',
      body: { rotator, deadlineSeconds: 60, onDeadline: 'retire' },
      ifMatch: 0,
    })
    await ask('rotateSecret', { name: 'prod/db', body: {} })
    await pass(1)
    expect(await last()).toMatchObject({ state: 'pending', lastError: expect.stringContaining('missing') })
    for (const role of ['orders_a', 'orders_b']) {
      await target.sql(`set role purser_admin; `)
      await target.sql(`create role ${role} nologin`)
      await target.sql(`grant ${role} to purser_admin with admin option`)
      await target.sql(`grant orders_owner to ${role}`)
    }
    await pass(600)
    expect(['waiting', 'retired']).toContain(await state())
    const value = await fetched()
    expect(value.username).toBe('orders_a')
    const client = await login(value)
    expect((await client.query('select name from shop.item')).rows).toEqual([{ name: 'lamp' }])
    await client.end()
  })

  it('keeps the old role until its consumer has switched, and then ends it with its connections', async () => {
    // The earlier value was not a role of the policy, and works no more: it has ended.
    await pass(120)
    expect(await state()).toBe('retired')
    const before = await fetched()
    const open = await login(before)
    const closed = new Promise((resolve) => open.once('end', resolve))
    const start = await ask('rotateSecret', { name: 'prod/db', body: { deadlineSeconds: 86_400, onDeadline: 'hold' } })
    expect(start.status).toBe(202)
    await pass(1)
    expect(await state()).toBe('waiting')
    expect((await open.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    // The other server has no such role, which would count as closed.
    const replacement = definitionFor(target, { host: 'localhost' })
    expect(fault(await ask('replaceDatabase', { name: 'orders', body: replacement, ifMatch: 1 }))).toBe('409 in_use')
    const after = await fetched()
    expect(after.username).not.toBe(before.username)
    const next = await login(after)
    await pass(30)
    expect(await state()).toBe('retired')
    await closed
    await refused(before)
    expect((await next.query('select name from shop.item')).rows).toEqual([{ name: 'lamp' }])
    await next.end()
    const roles = await target.sql(
      `select rolname, rolcanlogin from pg_roles where rolname like 'orders\\__' order by 1`,
    )
    expect(roles.filter((role) => role['rolcanlogin'])).toEqual([{ rolname: after.username, rolcanlogin: true }])
    const members = await target.sql(
      `select 1 from pg_auth_members m where m.member = 'purser_admin'::regrole and m.roleid::regrole::text like 'orders\\__' and m.grantor = 'purser_admin'::regrole`,
    )
    expect(members).toEqual([])
    for (const text of [target.log(), JSON.stringify(await readLog(purser)), purser.logs.join('\n')]) {
      for (const { password } of [before, after]) expect(text).not.toContain(password)
    }
  })

  it('creates roles if the policy says so, and is no member of roles that it has ended', async () => {
    await ask('putSecret', { name: 'prod/made', body: { data: {} }, ifMatch: 0 })
    const own = { ...rotator, roles: ['orders_c', 'orders_d'], create: true }
    await ask('putRotationPolicy', { name: 'prod/made', body: { rotator: own }, ifMatch: 0 })
    for (const _ of ['c', 'd', 'c']) {
      expect((await ask('rotateSecret', { name: 'prod/made', body: {} })).status).toBe(202)
      await pass(1)
      await pass(60)
    }
    const roles = await target.sql(
      `select rolname, rolcanlogin from pg_roles where rolname in ('orders_c', 'orders_d') order by 1`,
    )
    expect(roles).toEqual([
      { rolname: 'orders_c', rolcanlogin: true },
      { rolname: 'orders_d', rolcanlogin: false },
    ])
    // From PostgreSQL 16 on, the creator of a role is its member with ADMIN OPTION only.
    const members = await target.sql<{ set_option?: boolean; inherit_option?: boolean }>(
      `select * from pg_auth_members m where m.roleid in ('orders_c'::regrole, 'orders_d'::regrole)`,
    )
    expect(members.filter((member) => (member.set_option ?? true) || member.inherit_option)).toEqual([])
    expect(fault(await ask('deleteDatabase', { name: 'orders', ifMatch: 1 }))).toBe('409 in_use')
  })

  it('ends the role of a destroyed live value, although its name is no longer known', async () => {
    const name = 'prod/gone'
    const roles = ['gone_a', 'gone_b']
    await ask('putSecret', { name, body: { data: {} }, ifMatch: 0 })
    await ask('putRotationPolicy', { name, body: { rotator: { ...rotator, roles, create: true } }, ifMatch: 0 })
    const rotateOnce = async () => {
      expect((await ask('rotateSecret', { name, body: {} })).status).toBe(202)
      await pass(1)
      await pass(60)
      const read = await purser.asAdmin('GET', `/api/v1/secrets/${name}`, undefined, { 'purser-reason': 'test' })
      return read.body as { version: number; data: Value }
    }
    await rotateOnce()
    const live = await rotateOnce()
    expect(live.data.username).toBe('gone_b')
    const open = await login(live.data)
    const closed = new Promise((resolve) => open.once('end', resolve))
    await ask('destroySecret', { name, body: { versions: [live.version] } })
    expect((await rotateOnce()).data.username).toBe('gone_a')
    await closed
    await refused(live.data)
  })

  it('does not roll back to a value that it could not set, and does not affect the running rotation', async () => {
    const name = 'prod/foreign'
    const roles = ['foreign_a', 'foreign_b']
    await ask('putSecret', { name, body: { data: { username: 'somebody', password: 'from-before' } }, ifMatch: 0 })
    await ask('putRotationPolicy', { name, body: { rotator: { ...rotator, roles, create: true } }, ifMatch: 0 })
    expect((await pod.fetch('foreign')).status).toBe(200)
    expect((await ask('rotateSecret', { name, body: {} })).status).toBe(202)
    await pass(1)
    const now = async () => (await ask('getRotation', { name })).body['rotation'] as { state: string }
    expect((await now()).state).toBe('waiting')
    expect(fault(await ask('steerRotation', { name, body: { do: 'cancel' } }))).toBe('409 conflict')
    expect(fault(await ask('rollBackSecret', { name, body: { toVersion: 1 } }))).toBe('409 conflict')
    expect((await now()).state).toBe('waiting')
    await pod.fetch('foreign')
    await pass(60)
    expect((await now()).state).toBe('retired')
    // A process died at the first attempt of a rotation that cannot be set: the next attempt fails it permanently.
    expect((await ask('rotateSecret', { name, body: {} })).status).toBe(202)
    const definition = purser.knex.raw(`jsonb_set(definition, '{rotator,roles}', '["else_a", "else_b"]')`)
    await purser.knex('rotation').where({ state: 'pending' }).update({ definition, attempts: 1 })
    await pass(1)
    expect(await now()).toMatchObject({ state: 'failed', lastError: expect.stringContaining('not_ours') })
  })

  it('shares no role with another policy on any database of the server, and never changes an administrator', async () => {
    await ask('putSecret', { name: 'prod/again', body: { data: {} }, ifMatch: 0 })
    const put = (name: string, more: object, ifMatch = 0) =>
      ask('putRotationPolicy', { name, body: { rotator: { ...rotator, ...more } }, ifMatch })
    const shared = { roles: ['orders_e', 'orders_d'] }
    for (const database of ['orders', 'second']) {
      const answer = await put('prod/again', { ...shared, database })
      expect(fault(answer)).toBe('422 impossible /rotator/roles/1')
      expect(answer.text).toContain('prod/made')
    }
    const admin = { username: 'orders_d', password: 'x' }
    const definition = definitionFor(target, { name: 'third', admin })
    expect(fault(await ask('createDatabase', { body: definition }))).toBe('422 impossible /admin/username')
    const replaced = definitionFor(target, { name: 'second', admin })
    expect(fault(await ask('replaceDatabase', { name: 'second', body: replaced, ifMatch: 1 }))).toBe(
      '422 impossible /admin/username',
    )
    // Its own policy may be written again, and the claim of another one is free once that secret is destroyed.
    expect((await put('prod/made', { roles: ['orders_c', 'orders_d'], create: true }, 1)).status).toBe(200)
    const destroyed = await ask('destroySecret', { name: 'prod/made', body: { all: true }, reason: 'no longer used' })
    expect(destroyed.status, destroyed.text).toBe(204)
    expect((await put('prod/again', shared)).status).toBe(201)
  })

  it('ends no version whose role can still log in, however old the version is', async () => {
    const value = (username: string) => ({ data: { username, password: `of-${username}` } })
    for (const [n, username] of ['elder_a', 'elder_b'].entries()) {
      await target.sql(`create role ${username} login password 'of-${username}'`)
      expect((await ask('putSecret', { name: 'prod/elder', body: value(username), ifMatch: n })).status).toBeLessThan(
        300,
      )
    }
    const own = { ...rotator, roles: ['elder_x', 'elder_y'], create: true }
    await ask('putRotationPolicy', { name: 'prod/elder', body: { rotator: own }, ifMatch: 0 })
    await ask('rotateSecret', { name: 'prod/elder', body: {} })
    const now = async () => (await ask('getRotation', { name: 'prod/elder' })).body['rotation']
    for (const username of ['elder_b', 'elder_a']) {
      await pass(3600)
      expect(await now()).toMatchObject({ state: 'waiting', lastError: expect.stringContaining('not_ours') })
      await target.sql(`alter role ${username} nologin`)
    }
    await pass(3600)
    expect(await now()).toMatchObject({ state: 'retired' })
  })

  it('changes only roles of its policy, whatever the value contains', async () => {
    const answer = await ask('rotateSecret', {
      name: 'prod/db',
      body: { data: { username: 'purser_admin', password: 'x'.repeat(32) } },
    })
    expect(answer.status).toBe(422)
  })
})
