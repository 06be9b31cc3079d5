/** Each kind of administrator, on the present version: that of docs/databases.md, a cloud's, a superuser. */
import type { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createIssuer, registerLab } from '../../support/issuer.ts'
import { type Shop, createShop, definitionFor, rolesAt, shopEntry } from '../../support/leases.ts'
import { type Ask, createAsk } from '../../support/operator.ts'
import { type TestPurser, startPurser } from '../../support/purser.ts'
import { type TargetServer, startTarget } from '../../support/target.ts'

type Check = { what: string; ok: boolean; detail?: string }
type Role = { lease: string; username: string; password: string }

const password = 'Adm1n-of-the-target-0002'

/** The grants of every case: another team's schema `store`. */
const roles = {
  grants: [
    { schema: 'store', objects: 'tables', privileges: ['select', 'insert'] },
    { schema: 'store', objects: 'sequences', names: ['order_id'], privileges: ['usage'] },
    { schema: 'store', objects: 'functions', privileges: ['execute'] },
    { schema: 'store', objects: 'schema', privileges: ['usage', 'create'] },
  ],
  memberOf: ['readers'],
}

const store = [
  'create role store_owner nologin',
  'create schema store authorization store_owner',
  'create table store.item (id int primary key, name text)',
  'insert into store.item values (1, $$lamp$$)',
  'create view store.seen as select name from store.item',
  'create sequence store.order_id',
  'create function store.one() returns int language sql as $$select 1$$',
  'revoke execute on function store.one() from public',
  'alter table store.item owner to store_owner',
  'alter view store.seen owner to store_owner',
  'alter sequence store.order_id owner to store_owner',
  'alter function store.one() owner to store_owner',
]

/** By name: the statements that create the role, and the findings of `:check` for it. */
const administrators: [name: string, setUp: string[], complaints: string[]][] = [
  [
    'creator',
    [
      `create role creator login createrole password '${password}'`,
      'grant usage, create on schema store to creator with grant option',
      'grant select, insert on all tables in schema store to creator with grant option',
      'grant usage on all sequences in schema store to creator with grant option',
      'grant execute on all functions in schema store to creator with grant option',
      'grant readers to creator with admin option',
    ],
    [],
  ],
  // As RDS and Cloud SQL create it: in a group of theirs, which owns the database and what the teams own.
  [
    'clouder',
    [
      'create role cloud_superuser nologin createdb createrole',
      'grant pg_monitor, pg_signal_backend, store_owner, readers to cloud_superuser with admin option',
      `create role clouder login createrole createdb password '${password}' in role cloud_superuser`,
      'alter database orders owner to clouder',
    ],
    [],
  ],
  ['almighty', [`create role almighty login superuser password '${password}'`], ['it is a superuser']],
]

let target: TargetServer
let purser: TestPurser
let ask: Ask
let shop: Shop

const check = async (name: string): Promise<Check[]> => (await ask('checkDatabase', { name })).body['checks'] as Check[]
const wrong = async (name: string): Promise<string[]> =>
  (await check(name)).filter((check) => !check.ok).map((check) => check.detail ?? '')
const define = async (name: string, admin: string): Promise<void> => {
  const rotation = { owners: [`${name}_turns`], roles: [`${name}_a`, `${name}_b`] }
  const body = definitionFor(target, { name, roles, rotation, admin: { username: admin, password } })
  await purser.asAdmin('POST', '/api/v1/databases', body)
}
const issue = async (name: string): Promise<Role> => {
  const { body, text } = await shop.attest({ databases: [name] })
  const [role] = (body['databases'] ?? []) as Role[]
  if (!role) throw new Error(text)
  return role
}
const revoke = async ({ lease }: Role): Promise<unknown> =>
  (await purser.asAdmin('POST', `/api/v1/leases/${lease}:revoke`)).body['state']
const untilEnd = (client: Client): Promise<unknown> => new Promise((resolve) => client.once('end', resolve))
const run = async (lines: readonly string[]): Promise<void> => {
  for (const line of lines) await target.sql(line)
}
/** The statement that a person would copy from a finding into psql. */
const remedies = (details: readonly string[]): string[] =>
  details.flatMap((detail) => (/: ((?:grant|alter) .*)$/s.exec(detail)?.[1] ?? '').split('; ')).filter(Boolean)

/** Roles, memberships and privileges. */
const catalog = () =>
  target.sql(
    `select 'role' as what, rolname::text as a, (rolsuper, rolcreaterole, rolcanlogin)::text as b from pg_roles
     union all select 'member', roleid::regrole::text, member::regrole::text from pg_auth_members
     union all select 'acl', nspname::text, nspacl::text from pg_namespace where nspname !~ '^pg_(toast_)?temp'
     union all select 'rel', relname::text, relacl::text from pg_class where relacl is not null
     union all select 'proc', proname::text, proacl::text from pg_proc where proacl is not null order by 1, 2, 3`,
  )

beforeAll(async () => {
  target = await startTarget()
  purser = await startPurser({ store: 'postgres', env: { PURSER_LIMIT_ADDRESS_PER_SECOND: '1000' } })
  ask = createAsk(purser)
  const issuer = await createIssuer()
  await registerLab(purser, issuer)
  shop = createShop(purser, issuer)
  await run(store)
  for (const [name, setUp] of administrators) {
    await run(setUp)
    await define(name, name)
  }
  const databases = [...administrators.map(([name]) => name), 'bare', 'first', 'closed']
  await purser.asAdmin('POST', '/api/v1/workloads', shopEntry({ databases }))
})
afterAll(async () => {
  await purser?.stop()
  await target.stop()
})

describe.each(administrators)('%s', (name, _, complaints) => {
  it('has all required privileges, and the check confirms it', async () => {
    expect(await wrong(name)).toEqual(complaints.map((text) => expect.stringContaining(text)))
  })

  it('creates roles with their grants, and drops them with their connections', async () => {
    const before = await catalog()
    const role = await issue(name)
    const client = await target.login(role.username, role.password)
    const ending = untilEnd(client)
    expect((await client.query('select name from store.seen')).rows).toEqual([{ name: 'lamp' }])
    expect((await client.query(`select nextval('store.order_id'), store.one()`)).rows[0]).toMatchObject({ one: 1 })
    await expect(client.query('delete from store.item')).rejects.toThrow(/permission denied/)
    expect(await revoke(role)).toBe('revoked')
    await ending
    await expect(target.login(role.username, role.password)).rejects.toThrow()
    expect(await catalog()).toEqual(before)
  })

  it('drops a role that created a table, and destroys no data', async () => {
    const role = await issue(name)
    const client = await target.login(role.username, role.password)
    await client.query(`create table store.made_${name} as select 7 as n`)
    await client.query('create temp table passing (n int)')
    expect(await revoke(role)).toBe('revoked')
    expect(await rolesAt(target)).not.toContain(role.username)
    expect(await target.sql(`select n from store.made_${name}`)).toEqual([{ n: 7 }])
    const [table] = await target.sql(`select tableowner from pg_tables where tablename = 'made_${name}'`)
    expect(table?.['tableowner']).toMatch(/^purser_remains_\d+_[0-9a-f]+$/)
    await target.sql(`drop table store.made_${name}`)
  })

  it('rotates two roles under one owner', async () => {
    const [owner, path] = [`${name}_turns`, `prod/${name}`]
    await run([
      `create role ${owner} nologin`,
      `grant usage on schema store to ${owner}`,
      `grant select on store.item to ${owner}`,
      `grant ${owner} to ${name} with admin option`,
    ])
    const rotator = { kind: 'postgres', database: name, owner, roles: [`${name}_a`, `${name}_b`], create: true }
    await ask('putSecret', { name: path, body: { data: {} }, ifMatch: 0 })
    await ask('putRotationPolicy', { name: path, body: { rotator, deadlineSeconds: 1, onDeadline: 'retire' }, ifMatch: 0 }) // prettier-ignore
    const rotate = async (): Promise<Role> => {
      expect((await ask('rotateSecret', { name: path, body: { deadlineSeconds: 1, onDeadline: 'retire' } })).status).toBe(202) // prettier-ignore
      await expect
        .poll(async () => {
          await purser.runJobs()
          return (await ask('getRotation', { name: path })).body['rotation']
        })
        .toMatchObject({ state: 'retired' })
      const read = await purser.asAdmin('GET', `/api/v1/secrets/${path}`, undefined, { 'purser-reason': 'test' })
      return read.body['data'] as Role
    }
    const first = await rotate()
    const open = await target.login(first.username, first.password)
    const ending = untilEnd(open)
    const second = await rotate()
    await ending
    await expect(target.login(first.username, first.password)).rejects.toThrow()
    const third = await rotate()
    expect([first.username, second.username, third.username]).toEqual([`${name}_a`, `${name}_b`, `${name}_a`])
    await expect(target.login(second.username, second.password)).rejects.toThrow()
    const client = await target.login(third.username, third.password)
    expect((await client.query('select name from store.item')).rows).toEqual([{ name: 'lamp' }])
    await client.end()
  })

  it('gets a password that no person knows', async () => {
    expect((await ask('rotateDatabaseAdmin', { name })).status).toBe(200)
    await expect(target.login(name, password)).rejects.toThrow()
    const role = await issue(name)
    expect(await revoke(role)).toBe('revoked')
  })
})

it('an administrator without privileges gets the list of missing grants, and works with them', async () => {
  await target.sql(`create role bare_admin login password '${password}'`)
  await define('bare', 'bare_admin')
  await expect(issue('bare')).rejects.toThrow()
  const problems = await wrong('bare')
  await run(remedies(problems))
  expect(await wrong('bare')).toEqual([])
  const role = await issue('bare')
  const client = await target.login(role.username, role.password)
  expect((await client.query('select name from store.item')).rows).toEqual([{ name: 'lamp' }])
  expect(await revoke(role)).toBe('revoked')
})

it('the check names a later table that cannot be granted', async () => {
  await run(['create table store.later (n int)', 'alter table store.later owner to store_owner'])
  const problems = await wrong('creator')
  expect(problems).toEqual([expect.stringMatching(/: grant select, insert on all tables in schema "store" to /)])
  await run(remedies(problems))
  expect(await wrong('creator')).toEqual([])
})

it('a new administrator gets the statement that transfers the roles of an earlier one', async () => {
  const setUp = (admin: string) => [
    `create role ${admin} login createrole password '${password}'`,
    `grant store_owner, readers to ${admin} with admin option`,
  ]
  await run([...setUp('admin_one'), ...setUp('admin_two')])
  await define('first', 'admin_one')
  const role = await issue('first')
  const body = definitionFor(target, { name: 'first', roles, admin: { username: 'admin_two', password } })
  const headers = { 'if-match': '"1"' }
  await purser.asAdmin('PUT', '/api/v1/databases/first', body, headers)
  const problems = await wrong('first')
  const [version] = await target.sql<{ n: number }>(`select current_setting('server_version_num')::int as n`)
  // Before PostgreSQL 16, CREATEROLE allowed dropping the roles of others.
  expect(problems).toHaveLength((version?.n ?? 0) >= 160000 ? 1 : 0)
  if (problems.length > 0) {
    expect(await revoke(role)).toBe('revoking')
    expect(await shop.lease(role.lease)).toMatchObject({ last_error: expect.stringContaining('ADMIN OPTION') })
  }
  await run(remedies(problems))
  expect(await wrong('first')).toEqual([])
  await shop.purser
    .knex('lease')
    .where({ id: role.lease })
    .update({ next_attempt_at: new Date(0) })
  if (problems.length === 0) expect(await revoke(role)).toBe('revoked')
  await purser.runJobs()
  expect(await rolesAt(target)).not.toContain(role.username)
})

it('the check names a database that refuses connections by default, before roles are issued that cannot connect', async () => {
  await target.sql('revoke connect on database orders from public')
  await target.sql('grant connect on database orders to creator')
  expect(await wrong('creator')).toEqual([expect.stringMatching(/: grant connect on database "orders" to "readers"$/)])
  await target.sql('grant connect on database orders to readers')
  expect(await wrong('creator')).toEqual([])
  const role = await issue('creator')
  await (await target.login(role.username, role.password)).end()
  expect(await revoke(role)).toBe('revoked')
})
