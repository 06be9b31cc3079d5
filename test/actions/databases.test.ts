import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DatabaseInput } from '../../src/actions/databases/write.ts'
import { type TestActions, openActions } from '../support/actions.ts'
import { type TargetServer, startTarget } from '../support/target.ts'

describe('database actions without HTTP', () => {
  let target: TargetServer
  let purser: TestActions
  beforeAll(async () => {
    target = await startTarget()
    purser = await openActions()
  })
  afterAll(async () => {
    await purser?.stop()
    await target.stop()
  })

  const name = 'orders'
  const input = (part: Partial<DatabaseInput> = {}): DatabaseInput => ({
    name,
    kind: 'postgres',
    host: target.host,
    port: target.port,
    database: target.database,
    tls: { insecure: true },
    admin: target.admin,
    roles: { grants: [{ schema: 'shop', objects: 'tables', privileges: ['select'] }] },
    ...part,
  })

  it('creates a database, and records it without its credential', async () => {
    const context = purser.context()
    const create = () =>
      purser.change('database.create', context, (tx, snapshot) =>
        purser.actions.databases.create(context, tx, snapshot, input()),
      )
    const { result, entry } = await create()
    expect(result).toMatchObject({ isNew: true, database: { name, revision: 1 } })
    expect(entry).toMatchObject({
      action: 'database.create',
      change: { after: { name, defaultLifetimeSeconds: 3600 } },
    })
    expect(JSON.stringify(entry)).not.toContain(target.admin.password)
    await expect(create()).rejects.toMatchObject({ code: 'already_exists' })
  })

  it('replaces it under its revision', async () => {
    const context = purser.context()
    const replace = (expected: number) =>
      purser.change('database.replace', context, (tx, snapshot) =>
        purser.actions.databases.replace(context, tx, snapshot, {
          expected,
          database: input({ managedBy: 'test', admin: { username: target.admin.username } }),
        }),
      )
    await expect(replace(7)).rejects.toMatchObject({ code: 'stale' })
    const { result, entry } = await replace(1)
    expect(result).toMatchObject({ isNew: false, database: { revision: 2 } })
    expect(entry).toMatchObject({ action: 'database.replace', change: { after: { managedBy: 'test' } } })
  })

  it('lists and reads databases', () => {
    const { databases } = purser.actions
    expect(databases.list(purser.snapshot(), 'test')).toMatchObject([{ name }])
    expect(databases.list(purser.snapshot(), 'other')).toEqual([])
    expect(databases.get(purser.snapshot(), name)).toMatchObject({ revision: 2 })
  })

  it('checks it at its server', async () => {
    const { result, entry } = await purser.issue('database.check', purser.context(), (snapshot) =>
      purser.actions.databases.check(snapshot, name),
    )
    expect(result.ok).toBe(true)
    expect(entry).toMatchObject({ action: 'database.check', resource: { name }, detail: { ok: true } })
  })

  it('replaces its administrative credential', async () => {
    const { result, entry } = await purser.act('database.rotate-admin', purser.context(), (acting) =>
      purser.actions.databases.rotateAdmin(acting, name),
    )
    expect(result).toMatchObject({ name, revision: 3 })
    expect(entry).toMatchObject({ action: 'database.rotate-admin', outcome: 'completed' })
    await expect(target.login(target.admin.username, target.admin.password)).rejects.toThrow()
  })

  it('removes it', async () => {
    const context = purser.context()
    const { entry } = await purser.change('database.delete', context, (tx, snapshot) =>
      purser.actions.databases.delete(context, tx, snapshot, { name, expected: 3 }),
    )
    expect(entry).toMatchObject({ action: 'database.delete', resource: { name } })
    expect(purser.actions.databases.list(purser.snapshot(), undefined)).toEqual([])
  })
})
