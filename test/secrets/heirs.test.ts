/**
 * The objects that roles leave behind at a real target, where one administrator serves the databases of two tenants.
 */
import { randomBytes } from 'node:crypto'
import type { Client } from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type SqlSession, withConnection } from '../../src/secrets/databases/connect.ts'
import { dropRole } from '../../src/secrets/databases/drop-role.ts'
import { createRole } from '../../src/secrets/databases/roles.ts'
import { newPassword, scramVerifier } from '../../src/secrets/databases/scram.ts'
import { type TargetServer, startTarget } from '../support/target.ts'

const [red, blue] = ['db_11111111111111111111111111111111', 'db_22222222222222222222222222222222']

describe('objects of a role', () => {
  let target: TargetServer
  beforeAll(async () => {
    target = await startTarget()
    // Objects of two definitions are in one schema, where both may create.
    for (const sql of ['create schema yard authorization purser_admin', 'grant all on schema yard to purser_admin'])
      await target.sql(sql)
  })
  afterAll(() => target.stop())
  let roles = 0
  beforeEach(() => void (roles = 0))

  const asAdmin = <T>(work: (session: SqlSession) => Promise<T>): Promise<T> =>
    withConnection({ ...target, tls: { insecure: true } }, target.admin, work)

  /** One lease: its role runs statements and ends, and the heir of its definition gets its objects. */
  async function lease<T>(definition: string, work: (client: Client) => Promise<T>): Promise<T> {
    const username = `purser_t_${definition.slice(3, 5)}_${++roles}`
    const password = newPassword(randomBytes)
    const verifier = await scramVerifier(password, randomBytes)
    const expiresAt = new Date(Date.now() + 600_000)
    const grants = [{ schema: 'yard', objects: 'schema' as const, privileges: ['usage', 'create'] }]
    await asAdmin((session) => createRole(session, { grants }, { username, verifier, expiresAt }))
    const client = await target.login(username, password)
    try {
      return await work(client)
    } finally {
      await client.end()
      await asAdmin((session) => dropRole(session, username, definition))
    }
  }

  const runs = `create function yard.run(sql text) returns text language plpgsql security definer as
    'declare answer text; begin execute sql into answer; return answer; end'`
  const denied = /permission denied/
  const heirOf = async (relation: string): Promise<string> => {
    const [row] = await target.sql<{ owner: string }>(
      `select pg_get_userbyid(relowner) as owner from pg_class where oid = $1::regclass`,
      [relation],
    )
    return row?.owner ?? ''
  }

  it('go to one heir for each definition', async () => {
    await lease(red, (client) => client.query('create table yard.red as select 1 as n'))
    await lease(blue, (client) => client.query('create table yard.blue as select 2 as n'))
    const heirs = [await heirOf('yard.red'), await heirOf('yard.blue')]
    expect(heirs[0]).toMatch(/^purser_remains_\d+_1{32}$/)
    expect(heirs[1]).toMatch(/^purser_remains_\d+_2{32}$/)
    for (const name of ['red', 'blue']) await target.sql(`drop table yard.${name}`)
  })

  it('give no tenant a function that reads what another tenant left', async () => {
    await lease(blue, (client) => client.query(`create table yard.ledger as select 'blue money' as line`))
    await lease(red, async (client) => {
      await client.query(runs)
      await client.query('grant execute on function yard.run(text) to public')
    })
    await lease(red, async (client) => {
      await expect(client.query(`select yard.run('select line from yard.ledger')`)).rejects.toThrow(denied)
      await expect(client.query('select line from yard.ledger')).rejects.toThrow(denied)
    })
    await lease(blue, async (client) => {
      await expect(client.query(`select yard.run('select 1')`)).rejects.toThrow(denied)
    })
    // The function runs with the privileges of its caller.
    await target.sql('grant execute on function yard.run(text) to public')
    await lease(red, async (client) => {
      expect((await client.query(`select yard.run('select current_user::text') as name`)).rows).toEqual([
        { name: expect.stringMatching(/^purser_t_/) },
      ])
      await expect(client.query(`select yard.run('select line from yard.ledger')`)).rejects.toThrow(denied)
    })
    await target.sql('drop function yard.run(text)')
    await target.sql('drop table yard.ledger')
  })

  it('keep no grant of the role, and the heir has none of its own', async () => {
    await lease(red, async (client) => {
      await client.query('create table yard."Open ""to"" all" (id int, name text)')
      await client.query('create view yard.seen as select 1 as n')
      await client.query('create sequence yard.counter')
      await client.query('create procedure yard.act(n int) language sql as $$ select 1 $$')
      await client.query('create aggregate yard.total(int) (sfunc = int4pl, stype = int)')
      await client.query('grant select, insert on all tables in schema yard to public')
      await client.query('grant update (name) on yard."Open ""to"" all" to readers')
      await client.query('grant usage on sequence yard.counter to readers with grant option')
    })
    const grants = await target.sql(
      `select c.relname as name from pg_class c cross join aclexplode(c.relacl) a
        where c.relnamespace = 'yard'::regnamespace and a.grantee <> c.relowner
       union all select p.proname from pg_proc p cross join aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        where p.pronamespace = 'yard'::regnamespace and a.grantee <> p.proowner
       union all select attname from pg_attribute where attacl is not null and attrelid in (
         select oid from pg_class where relnamespace = 'yard'::regnamespace)`,
    )
    expect(grants).toEqual([])
    const heir = await heirOf('yard.seen')
    expect(await target.sql(`select has_schema_privilege($1, 'yard', 'create') as may`, [heir])).toEqual([
      { may: false },
    ])
    await target.sql('drop aggregate yard.total(int)')
    for (const sql of ['table yard."Open ""to"" all"', 'view yard.seen', 'sequence yard.counter', 'procedure yard.act'])
      await target.sql(`drop ${sql}`)
  })

  it('of leases that ended before heirs were separate run without their rights', async () => {
    const [admin] = await target.sql<{ oid: number }>(`select oid from pg_roles where rolname = 'purser_admin'`)
    const shared = `purser_remains_${admin?.oid ?? 0}`
    await asAdmin(async (session) => {
      await session.run(`create role ${shared} nologin`)
      await session.run(`grant ${shared} to current_user`)
    })
    await target.sql(runs)
    await target.sql(`alter function yard.run(text) owner to ${shared}`)
    await target.sql(`create table yard.ledger as select 'old money' as line`)
    await target.sql(`alter table yard.ledger owner to ${shared}`)
    await lease(blue, async () => undefined)
    await lease(red, async (client) => {
      await expect(client.query(`select yard.run('select line from yard.ledger')`)).rejects.toThrow(denied)
    })
    const [row] = await target.sql(`select prosecdef from pg_proc where proname = 'run'`)
    expect(row).toEqual({ prosecdef: false })
    for (const sql of ['function yard.run(text)', 'table yard.ledger', `role ${shared}`])
      await target.sql(`drop ${sql}`)
  })
})
