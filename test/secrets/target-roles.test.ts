/** Roles at a real target: what a server accepts, what its logs show, and that no name escapes its quotes. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { closeRole, openRole } from '../../src/secrets/databases/alternate.ts'
import { type SqlSession, withConnection } from '../../src/secrets/databases/connect.ts'
import { faultsOf, type DatabaseDefinition } from '../../src/secrets/databases/definition.ts'
import { dropRole } from '../../src/secrets/databases/drop-role.ts'
import { createRole, extendRole, rolesWithPrefix } from '../../src/secrets/databases/roles.ts'
import { newPassword, scramVerifier } from '../../src/secrets/databases/scram.ts'
import { hostileNames } from '../support/hostile-names.ts'
import { type TargetServer, startTarget } from '../support/target.ts'

const inTenMinutes = () => new Date(Date.now() + 600_000)

describe('a role at a target', () => {
  let target: TargetServer
  beforeAll(async () => {
    target = await startTarget()
  })
  afterAll(() => target.stop())

  const asAdmin = <T>(work: (session: SqlSession) => Promise<T>): Promise<T> =>
    withConnection({ ...target, tls: { insecure: true } }, target.admin, work)
  const make = async (username: string, more: object = {}) => {
    const password = newPassword(randomBytes)
    const verifier = await scramVerifier(password, randomBytes)
    const definition = {
      grants: [{ schema: 'shop', objects: 'tables' as const, privileges: ['select', 'insert'] }],
      ...more,
    }
    await asAdmin((session) => createRole(session, definition, { username, verifier, expiresAt: inTenMinutes() }))
    return { password, verifier }
  }
  /** All roles and privileges that the server has. */
  const catalog = () =>
    target.sql(
      `select 'role' as what, rolname::text as a, (rolsuper, rolcreaterole, rolcanlogin)::text as b from pg_roles
       union all select 'member', roleid::regrole::text, member::regrole::text from pg_auth_members
       union all select 'acl', nspname::text, nspacl::text from pg_namespace where nspname !~ '^pg_(toast_)?temp'
       union all select 'rel', relname::text, relacl::text from pg_class where relacl is not null
       union all select 'db', datname::text, datacl::text from pg_database order by 1, 2, 3`,
    )

  it('logs in with the password of its verifier, has only its grants, and is dropped', async () => {
    const before = await catalog()
    const { password } = await make('purser_t_a')
    const client = await target.login('purser_t_a', password)
    expect((await client.query('select name from shop.item')).rows).toEqual([{ name: 'lamp' }])
    await expect(client.query('delete from shop.item')).rejects.toThrow(/permission denied/)
    await expect(client.query('create role x')).rejects.toThrow(/permission denied/)
    await expect(target.login('purser_t_a', `${password}x`)).rejects.toThrow()
    const ending = new Promise((resolve) => client.once('end', resolve))
    expect(await asAdmin((session) => dropRole(session, 'purser_t_a', 'db_0'))).toBe(true)
    await ending
    await expect(target.login('purser_t_a', password)).rejects.toThrow()
    expect(await asAdmin((session) => dropRole(session, 'purser_t_a', 'db_0'))).toBe(false)
    expect(await catalog()).toEqual(before)
  })

  it('with alternating logins is unlocked by the next caller, and no membership remains after a crash', async () => {
    await target.sql('create role turns_owner nologin')
    await target.sql('grant turns_owner to purser_admin with admin option')
    const password = newPassword(randomBytes)
    const verifier = await scramVerifier(password, randomBytes)
    const role = { username: 'turns_a', owner: 'turns_owner', verifier, create: true }
    await asAdmin((session) => openRole(session, role))
    const before = await catalog()
    const client = await target.login('turns_a', password)
    const ending = new Promise((resolve) => client.once('end', resolve))

    const dies = asAdmin((session) => {
      let isDead = false
      const run: SqlSession['run'] = (sql, values) => {
        isDead ||= sql.includes('pg_terminate_backend')
        return isDead ? Promise.reject(new Error('died')) : session.run(sql, values)
      }
      // As after a crash of the process: no further statement, and the connection ends.
      const together: SqlSession['together'] = async (work) => {
        await session.run('begin')
        return work()
      }
      return closeRole({ run, together }, 'turns_a', verifier)
    })
    await expect(dies).rejects.toThrow('died')
    await asAdmin((session) => closeRole(session, 'turns_a', verifier))
    await ending
    const expected = before.map((row) =>
      row['what'] === 'role' && row['a'] === 'turns_a' ? { ...row, b: '(f,f,f)' } : row,
    )
    expect(await catalog()).toEqual(expected)
    for (const name of ['turns_a', 'turns_owner']) await target.sql(`drop role ${name}`)
  })

  it('with alternating logins has only the privileges of its owner, whatever it is a member of', async () => {
    for (const sql of [
      'create role plain_owner nologin',
      'grant plain_owner to purser_admin with admin option',
      'create role turns_reader nologin',
      'create role turns_middle nologin',
      'grant pg_read_server_files to turns_middle',
      'grant turns_middle to turns_reader',
      'grant turns_reader to purser_admin with admin option',
    ])
      await target.sql(sql)
    const before = await catalog()
    const verifier = await scramVerifier(newPassword(randomBytes), randomBytes)
    const role = { username: 'turns_reader', owner: 'plain_owner', verifier, create: false }
    await expect(asAdmin((session) => openRole(session, role))).rejects.toMatchObject({ fault: 'too_powerful' })
    expect(await catalog()).toEqual(before)
    await target.sql('revoke turns_middle from turns_reader')
    await asAdmin((session) => openRole(session, role))
    for (const name of ['turns_reader', 'turns_middle', 'plain_owner']) await target.sql(`drop role ${name}`)
  })

  const creates = { grants: [{ schema: 'shop', objects: 'schema' as const, privileges: ['usage', 'create'] }] }

  it('leaves its objects to a role without login, and the administrator has full access to them', async () => {
    const { password } = await make('purser_t_own', creates)
    const client = await target.login('purser_t_own', password)
    await client.query('create table shop.made (n int)')
    await client.query('insert into shop.made values (7)')
    await client.end()
    await asAdmin((session) => dropRole(session, 'purser_t_own', 'db_0'))
    const [table] = await target.sql<{ tableowner: string }>(
      `select tableowner from pg_tables where tablename = 'made'`,
    )
    expect(table?.tableowner).toMatch(/^purser_remains_\d+_0$/)
    expect(
      await target.sql(
        `select rolcanlogin or rolsuper or rolcreaterole or rolcreatedb as may from pg_roles where rolname = $1`,
        [table?.tableowner],
      ),
    ).toEqual([{ may: false }])
    expect(await asAdmin((session) => session.run('select n from shop.made'))).toEqual([{ n: 7 }])
    await asAdmin((session) => session.run('drop table shop.made'))
  })

  it('leaves nothing behind that runs with the privileges of the administrator', async () => {
    const first = await make('purser_t_first', creates)
    const client = await target.login('purser_t_first', first.password)
    await client.query(
      `create function shop.rise() returns void language plpgsql security definer as 'begin create role risen; end'`,
    )
    await client.query('create view shop.seen as select * from shop.item')
    await client.query('grant select on shop.seen to public')
    await client.end()
    await asAdmin((session) => dropRole(session, 'purser_t_first', 'db_0'))

    const second = await make('purser_t_second', creates)
    const later = await target.login('purser_t_second', second.password)
    await expect(later.query('select shop.rise()')).rejects.toThrow(/permission denied/)
    await expect(later.query('select * from shop.seen')).rejects.toThrow(/permission denied/)
    await later.end()
    expect(await target.sql(`select 1 from pg_roles where rolname = 'risen'`)).toEqual([])
    await asAdmin((session) => dropRole(session, 'purser_t_second', 'db_0'))
    await target.sql('drop view shop.seen')
    await target.sql('drop function shop.rise()')
  })

  it('is dropped by an administrator that owns none of the granted objects, including column grants', async () => {
    for (const text of [
      'create table shop.theirs (n int)',
      'create sequence shop."Their ""numbers"""',
      'grant delete on shop.theirs to purser_admin with grant option',
      'grant usage on sequence shop."Their ""numbers""" to purser_admin with grant option',
    ])
      await target.sql(text)
    const before = await catalog()
    await make('purser_t_theirs', {
      grants: [
        { schema: 'shop', objects: 'tables', names: ['theirs'], privileges: ['delete'] },
        { schema: 'shop', objects: 'sequences', names: ['Their "numbers"'], privileges: ['usage'] },
      ],
    })
    await asAdmin((session) => dropRole(session, 'purser_t_theirs', 'db_0'))
    expect(await catalog()).toEqual(before)
    await target.sql('drop table shop.theirs; ')
    await target.sql('drop sequence shop."Their ""numbers"""')
  })

  it('is not created when any grant fails, also one with only a warning of Postgres', async () => {
    await target.sql('create table shop.foreign_one (n int)')
    const grants = [{ schema: 'shop', objects: 'tables', names: ['foreign_one'], privileges: ['select'] }]
    await expect(make('purser_t_warned', { grants })).rejects.toMatchObject({ name: 'TargetError' })
    const missing = [{ schema: 'nowhere', objects: 'schema', privileges: ['usage'] }]
    await expect(make('purser_t_missing', { grants: missing })).rejects.toMatchObject({ fault: 'missing' })
    expect(await asAdmin((session) => rolesWithPrefix(session, 'purser_t_'))).toEqual([])
    await target.sql('drop table shop.foreign_one')
  })

  it('is a member of plain groups only', async () => {
    await target.sql('create role risky nologin; ')
    await target.sql('grant pg_read_server_files to risky')
    await target.sql('grant risky to purser_admin with admin option')
    await target.sql('create role person login')
    await target.sql('grant person to purser_admin with admin option')
    for (const [group, fault] of [
      ['risky', 'too_powerful'],
      ['pg_read_server_files', 'too_powerful'],
      ['person', 'too_powerful'],
      ['purser_admin', 'too_powerful'],
      ['nobody_there', 'missing'],
    ]) {
      await expect(make('purser_t_group', { grants: [], memberOf: [group] })).rejects.toMatchObject({ fault })
    }
    await make('purser_t_group', { grants: [], memberOf: ['readers'] })
    await asAdmin((session) => dropRole(session, 'purser_t_group', 'db_0'))
  })

  it('is extended, with an error when it is missing', async () => {
    await make('purser_t_long')
    const end = new Date(Date.now() + 3600_000)
    await asAdmin((session) => extendRole(session, 'purser_t_long', end))
    const [row] = await target.sql<{ rolvaliduntil: Date }>(
      `select rolvaliduntil from pg_roles where rolname = 'purser_t_long'`,
    )
    expect(row?.rolvaliduntil.getTime()).toBe(end.getTime())
    await asAdmin((session) => dropRole(session, 'purser_t_long', 'db_0'))
    await expect(asAdmin((session) => extendRole(session, 'purser_t_long', end))).rejects.toMatchObject({
      fault: 'missing',
    })
  })

  it('does not show its password in any log of statements or list of activity', async () => {
    const { password } = await make('purser_t_log')
    const client = await target.login('purser_t_log', password)
    const activity = JSON.stringify(await target.sql('select * from pg_stat_activity'))
    await client.end()
    await asAdmin((session) => dropRole(session, 'purser_t_log', 'db_0'))
    const log = target.log()
    expect(log).toContain('create role')
    for (const text of [log, activity]) {
      expect(text).not.toContain(password)
      expect(text).not.toContain(target.admin.password.slice(4))
    }
  })

  it.each(hostileNames.map((name) => [JSON.stringify(name).slice(0, 60), name]))(
    'is refused, or has exactly that name, for %s',
    async (_, name) => {
      const before = await catalog()
      const attempts: Promise<unknown>[] = [
        make(name).then(() => asAdmin((session) => dropRole(session, name, 'db_0'))),
        make('purser_t_h1', { grants: [{ schema: name, objects: 'tables', privileges: ['select'] }] }),
        make('purser_t_h2', { grants: [{ schema: 'shop', objects: 'tables', names: [name], privileges: ['select'] }] }),
        make('purser_t_h3', { grants: [], memberOf: [name] }),
      ]
      await Promise.allSettled(attempts)
      for (const role of ['purser_t_h1', 'purser_t_h2', 'purser_t_h3'])
        await asAdmin((session) => dropRole(session, role, 'db_0'))
      expect(await catalog()).toEqual(before)
    },
  )
})

describe('a definition', () => {
  const plain: DatabaseDefinition = {
    name: 'orders',
    kind: 'postgres',
    host: 'db.prod.svc',
    port: 5432,
    database: 'orders',
    admin: { username: 'purser_admin' },
    roles: { grants: [] },
    defaultLifetimeSeconds: 600,
    maxLifetimeSeconds: 3600,
  }
  const pointers = (more: object): string[] => faultsOf({ ...plain, ...more }).map((problem) => problem.pointer)
  const grant = (more: object) => ({
    roles: { grants: [{ schema: 'public', objects: 'tables', privileges: ['select'], ...more }] },
  })

  it.each([
    [{}, []],
    [grant({}), []],
    [{ database: 'x'.repeat(64) }, ['/database']],
    [{ database: 'a\0b' }, ['/database']],
    [{ admin: { username: 'pg_monitor' } }, ['/admin/username']],
    [{ admin: { username: 'Public' } }, ['/admin/username']],
    [{ tls: { insecure: true } }, ['/tls/insecure']],
    [{ host: '127.0.0.1', tls: { insecure: true } }, []],
    [{ host: '127.0.0.1.evil.example', tls: { insecure: true } }, ['/tls/insecure']],
    [{ host: 'localhost', tls: { insecure: true, serverName: 'x' } }, ['/tls']],
    [{ defaultLifetimeSeconds: 7200 }, ['/defaultLifetimeSeconds']],
    [grant({ schema: 'pg_catalog' }), ['/roles/grants/0/schema']],
    [grant({ schema: 'information_schema' }), ['/roles/grants/0/schema']],
    [grant({ privileges: ['select', 'execute'] }), ['/roles/grants/0/privileges/1']],
    [grant({ objects: 'schema', privileges: ['usage'], names: ['x'] }), ['/roles/grants/0/names']],
    [grant({ names: ['ok', 'é'.repeat(32)] }), ['/roles/grants/0/names/1']],
    [
      { roles: { grants: [], memberOf: ['pg_read_server_files', 'purser_admin'] } },
      ['/roles/memberOf/0', '/roles/memberOf/1'],
    ],
  ])('%j is refused at %j', (more, at) => {
    expect(pointers(more)).toEqual(at)
  })
})
