import type { Knex } from 'knex'
import { randomBytes, randomUUID } from 'node:crypto'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Migration, migrations } from '../../migrations/index.ts'
import type { AppendItem } from '../../src/store/append-wire.ts'
import { appendItems, lockHead } from '../../src/store/log.ts'
import { SchemaTooNew, migrate, pendingMigrations } from '../../src/store/migrate.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { describeBothStores, testDatabase, testPostgres } from '../support/database.ts'

const makes = (name: string, table: string, options: Partial<Migration> = {}): Migration => ({
  name,
  up: async (knex: Knex) => void (await knex.raw(`create table ${table} (id int primary key)`)),
  ...options,
})

it('has names in order that carry no file extension', () => {
  const names = migrations.map((migration) => migration.name)
  for (const name of names) expect(name).toMatch(/^\d{3}-[a-z0-9-]+$/)
  expect(names).toEqual([...new Set(names)].toSorted())
})

describeBothStores('migrations', (open) => {
  const later = [...migrations, makes('900-one', 'one'), makes('901-two', 'two')]

  it('applies missing migrations once', async () => {
    const db = await open()
    expect(await pendingMigrations(db)).toEqual([])
    expect(await pendingMigrations(db, later)).toEqual(['900-one', '901-two'])
    expect(await migrate(db, later.slice(0, -1))).toEqual(['900-one'])
    expect(await migrate(db, later)).toEqual(['901-two'])
    expect(await migrate(db, later)).toEqual([])
    expect(await pendingMigrations(db, later)).toEqual([])
    await db.knex('two').insert({ id: 1 })
  })

  it('applies all or nothing, and can be retried', async () => {
    const db = await open()
    const faulty = [...later, makes('902-one-again', 'one')]
    await expect(migrate(db, faulty)).rejects.toMatchObject({ code: '42P07' })
    expect(await pendingMigrations(db, later)).toEqual(['900-one', '901-two'])
    expect(await db.knex.schema.hasTable('one')).toBe(false)
    expect(await migrate(db, later)).toEqual(['900-one', '901-two'])
  })

  it('lets the earlier version run after an addition, and refuses it after a break', async () => {
    const db = await open()
    await migrate(db, later)
    expect(await pendingMigrations(db)).toEqual([])
    expect(await migrate(db)).toEqual([])
    const broken = [...later, makes('902-break', 'three', { breaking: true }), makes('903-more', 'four')]
    await migrate(db, broken)
    for (const list of [migrations, later]) {
      await expect(migrate(db, list)).rejects.toThrow(SchemaTooNew)
      await expect(pendingMigrations(db, list)).rejects.toThrow(SchemaTooNew)
    }
    await expect(pendingMigrations(db)).rejects.toThrow(/902-break/)
    expect(await pendingMigrations(db, broken.slice(0, -1))).toEqual([])
  })
})

it('runs once when many replicas start together, however long it takes', async () => {
  const { url, drop } = await testDatabase()
  const slow: Migration = {
    name: '900-slow',
    async up(knex) {
      // Longer than the usual lock timeout.
      await knex.raw('select pg_sleep(2.2)')
      await knex.raw('create table slow (id int)')
    },
  }
  const replicas = Array.from({ length: 6 }, () => openPostgres({ url, poolMax: 2 }))
  const applied = await Promise.all(replicas.map((db) => migrate(db, [...migrations, slow])))
  expect(applied.flat()).toEqual(['900-slow'])
  await Promise.all(replicas.map((db) => db.close()))
  await drop()
})

it('finds every migration missing in an empty database, without a change', async () => {
  const { url, drop } = await testDatabase()
  const db = openPostgres({ url })
  await db.knex.raw('drop schema public cascade')
  await db.knex.raw('create schema public')
  expect(await pendingMigrations(db)).toEqual(migrations.map((migration) => migration.name))
  expect((await db.knex.raw(`select 1 from pg_class where relnamespace = 'public'::regnamespace`)).rows).toEqual([])
  expect(await migrate(db)).toEqual(migrations.map((migration) => migration.name))
  await db.close()
  await drop()
})

describe('a migration beside a serving replica', () => {
  const session: Migration = {
    name: '900-session',
    async up(knex) {
      await knex.raw('alter table session add column note text')
      await knex.raw('select pg_sleep(0.3)')
      await knex.raw('update log_head set revision = revision + 1')
    },
  }
  const item = (): AppendItem => ({
    leaf: randomBytes(32),
    nonce: randomBytes(32),
    body: '{}',
    at: new Date().toISOString(),
    terms: [1],
    effects: {
      session: {
        id: `ses_${randomUUID()}`,
        instance: randomBytes(32),
        entryKeyed: false,
        generation: 0,
        workloadId: 'wl_1',
        attestorId: 'att_1',
        spiffeId: 'spiffe://example.org/x',
        selectors: {},
        expiresAt: new Date(),
      },
    },
  })

  async function serving() {
    const replica = await testPostgres({ poolMax: 4 })
    const migrating = openPostgres({ url: replica.url, poolMax: 1 })
    onTestFinished(async () => {
      await migrating.close()
      await replica.close()
    })
    await replica
      .knex('log_head')
      .insert({ instance_id: randomUUID(), trust_domain: 'example.org', issuer: 'https://x', epoch: 1 })
    await appendItems(replica.knex, randomUUID(), 1, [item()])
    return { replica, migrating }
  }

  it('waits for appends, and they for it, without a deadlock', async () => {
    const { replica, migrating } = await serving()
    const ending = new AbortController()
    const append = async (): Promise<void> => {
      while (!ending.signal.aborted) await appendItems(replica.knex, randomUUID(), 1, [item()])
    }
    const appends = Promise.all([append(), append(), append()])
    const applied = migrate(migrating, [...migrations, session]).finally(() => ending.abort())
    const [names] = await Promise.all([applied, appends])
    expect(names).toEqual(['900-session'])
  })

  it('is retried when Postgres ends it for a change that locked rows of a table and waits for the head', async () => {
    const { replica, migrating } = await serving()
    const applied = replica.knex.transaction(async (tx) => {
      await tx('session').update({ generation: 1 })
      const result = migrate(migrating, [...migrations, session])
      const waits = () => replica.knex.raw('select 1 from pg_locks where not granted and relation = ?::regclass', ['session']) // prettier-ignore
      await expect.poll(async () => (await waits()).rows.length).toBe(1)
      await lockHead(tx)
      return { result }
    })
    await expect((await applied).result).resolves.toEqual(['900-session'])
  })
})
