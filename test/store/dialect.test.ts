import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest'
import {
  type Database,
  isConnectionError,
  isLockTimeout,
  isRowFault,
  isUniqueViolation,
} from '../../src/store/database.ts'
import { describeBothStores } from '../support/database.ts'

// Dates must not depend on the time zone of the machine.
beforeAll(() => void vi.stubEnv('TZ', 'Asia/Kolkata'))
afterAll(() => void vi.unstubAllEnvs())

const caught = (promise: PromiseLike<unknown>): Promise<unknown> =>
  Promise.resolve(promise).then(
    () => undefined,
    (error: unknown) => error,
  )

describeBothStores('the dialect', (openStore) => {
  let db: Database
  beforeAll(async () => {
    db = await openStore()
  })
  beforeEach(async () => {
    await db.knex.raw('drop table if exists item, other cascade')
    await db.knex.raw(
      `create table item (id int primary key, big bigint, bytes bytea, at timestamptz, body jsonb, plain json, words text[],
         numbers bigint[], flag boolean, ratio float8, exact numeric, day uuid)`,
    )
  })

  it('returns counts as numbers, also zero', async () => {
    const { knex } = db
    await knex('item').insert([{ id: 1 }, { id: 2 }, { id: 3 }])
    expect(await knex('item').where('id', '>', 1).update({ flag: true })).toBe(2)
    expect(await knex('item').where({ id: 9 }).update({ flag: true })).toBe(0)
    expect(await knex('item').where({ id: 9 }).del()).toBe(0)
    expect(await knex('item').where({ id: 1 }).del()).toBe(1)
    const raw = await knex.raw('delete from item where id = ?', [2])
    expect([raw.command, raw.rowCount, raw.rows]).toEqual(['DELETE', 1, []])
    const inserted = await knex.raw('insert into item (id) values (7), (8) on conflict do nothing')
    expect([inserted.command, inserted.rowCount]).toEqual(['INSERT', 2])
    expect((await knex.raw('create table other (a int)')).rowCount).toBeNull()
  })

  it('returns rows from first, pluck, returning and raw', async () => {
    const { knex } = db
    expect(await knex('item').insert({ id: 1, flag: true }).returning(['id', 'flag'])).toEqual([{ id: 1, flag: true }])
    expect(await knex('item').where({ id: 1 }).update({ flag: false }).returning('id')).toEqual([{ id: 1 }])
    expect(await knex('item').first('id')).toEqual({ id: 1 })
    expect(await knex('item').where({ id: 5 }).first('id')).toBeUndefined()
    expect(await knex('item').pluck('id')).toEqual([1])
    expect((await knex.raw('select id, flag from item')).rows).toEqual([{ id: 1, flag: false }])
    expect(await knex('item').where({ id: 1 }).del().returning('id')).toEqual([{ id: 1 }])
  })

  it('keeps int8 as text, also beyond 2^53, and in arrays and counts', async () => {
    const { knex } = db
    const big = '9007199254740993'
    await knex('item').insert({ id: 1, big, numbers: [big, '-1'] })
    await knex('item').insert({ id: 2, big: 7n })
    expect(await knex('item').where({ big }).first('big', 'numbers')).toEqual({ big, numbers: [big, '-1'] })
    expect(await knex('item').where({ id: 2 }).first('big')).toEqual({ big: '7' })
    expect(await knex('item').count()).toEqual([{ count: '2' }])
  })

  it('returns bytea as a Buffer and accepts Buffers and byte arrays', async () => {
    const { knex } = db
    const bytes = Buffer.from([0, 255, 92, 39, 10])
    await knex('item').insert([
      { id: 1, bytes },
      { id: 2, bytes: new Uint8Array(Buffer.concat([Buffer.alloc(3), bytes])).subarray(3) },
      { id: 3, bytes: Buffer.alloc(0) },
    ])
    const rows = await knex('item').orderBy('id').pluck('bytes')
    for (const row of rows) expect(Buffer.isBuffer(row)).toBe(true)
    expect(rows).toEqual([bytes, bytes, Buffer.alloc(0)])
    expect(await knex('item').where({ bytes }).pluck('id')).toHaveLength(2)
    const many = await knex.raw('select array_agg(bytes order by id) as all from item')
    expect(many.rows[0].all).toEqual([bytes, bytes, Buffer.alloc(0)])
    expect(
      (
        await knex('item')
          .whereRaw('bytes = any (?::bytea[])', [[bytes]])
          .pluck('id')
      ).toSorted((a, b) => a - b),
    ).toEqual([1, 2])
  })

  it('keeps the instant of a Date, whatever the time zone of this process', async () => {
    const { knex } = db
    const dates = ['2026-03-29T00:59:59.999Z', '1970-01-01T00:00:00.001Z', '9999-12-31T23:59:59.000Z'].map(
      (text) => new Date(text),
    )
    await knex('item').insert(dates.map((at, id) => ({ id, at })))
    expect(await knex('item').orderBy('id').pluck('at')).toEqual(dates)
    expect(await knex('item').where({ at: dates[0] }).pluck('id')).toEqual([0])
  })

  it('parses json and jsonb, and writes objects', async () => {
    const { knex } = db
    const body = { a: [1, 'two', null], 'quote"': "it's \\ ünï" }
    await knex('item').insert({ id: 1, body, plain: body })
    await knex('item').insert({ id: 2, body: JSON.stringify([1, 2]), plain: '"text"' })
    expect(await knex('item').orderBy('id').select('body', 'plain')).toEqual([
      { body, plain: body },
      { body: [1, 2], plain: 'text' },
    ])
    expect((await knex.raw('select ?::jsonb as body, ?::json as nothing', [body, null])).rows).toEqual([
      { body, nothing: null },
    ])
  })

  it('accepts numbers for text, and keeps the other types as node-postgres does', async () => {
    const { knex } = db
    const words = ['a', 'with "quotes"', 'comma, {brace}', '', 'null']
    await knex('item').insert({ id: 1, words, flag: true, ratio: 0.1, exact: '12345678901234567890.123', day: null })
    expect(await knex('item').first('words', 'flag', 'ratio', 'exact', 'day')).toEqual({
      words,
      flag: true,
      ratio: 0.1,
      exact: '12345678901234567890.123',
      day: null,
    })
    expect((await knex.raw('select ?::text as t, ?::boolean as b, ?::int as i', [5, 'true', '6'])).rows).toEqual([
      { t: '5', b: true, i: 6 },
    ])
    const { fields } = await knex.raw('select id as one from item')
    expect(fields.map((field: { name: string }) => field.name)).toEqual(['one'])
  })

  it('refuses several statements in one raw, with and without values', async () => {
    const { knex } = db
    for (const sql of ['select 1; select 2', 'insert into item (id) values (1); drop table item']) {
      expect(await caught(knex.raw(sql))).toMatchObject({ code: '42601' })
    }
    expect(await caught(knex.raw('delete from item where id = ?; select 1', [1]))).toMatchObject({ code: '42601' })
    expect(await knex('item').count()).toEqual([{ count: '0' }])
  })

  it('commits, rolls back on an exception, and rolls back only the inner transaction', async () => {
    const { knex } = db
    await knex.transaction(async (tx) => {
      await tx('item').insert({ id: 1 })
      const inner = tx.transaction(async (nested) => {
        await nested('item').insert({ id: 2 })
        throw new Error('inner')
      })
      await expect(inner).rejects.toThrow('inner')
      await tx.transaction((nested) => nested('item').insert({ id: 3 }))
    })
    const failed = knex.transaction(async (tx) => {
      await tx('item').insert({ id: 4 })
      throw new Error('outer')
    })
    await expect(failed).rejects.toThrow('outer')
    expect((await knex('item').pluck('id')).toSorted((a, b) => a - b)).toEqual([1, 3])
  })

  it('does not report a failed transaction as committed', async () => {
    const { knex } = db
    const transaction = knex.transaction(async (tx) => {
      await tx('item').insert({ id: 1 })
      await caught(tx('item').insert({ id: 1 }))
    })
    expect(await caught(transaction)).toMatchObject({ code: '25P02' })
    expect(await knex('item').pluck('id')).toEqual([])
    expect(await knex('item').insert({ id: 1 }).returning('id')).toEqual([{ id: 1 }])
  })

  it('distinguishes a unique violation, a refused row and everything else, without the values', async () => {
    const { knex } = db
    await knex('item').insert({ id: 1 })
    const twice = await caught(knex('item').insert({ id: 1, words: ['s3cret'] }))
    expect(isUniqueViolation(twice)).toBe(true)
    expect(isRowFault(twice)).toBe(true)
    expect(twice).toMatchObject({ code: '23505', table: 'item', constraint: 'item_pkey' })
    const faulty = await caught(knex.raw(`select ?::int`, ['s3cret'.length.toString() + 'x']))
    expect([isRowFault(faulty), isUniqueViolation(faulty)]).toEqual([true, false])
    const unknown = await caught(knex('nowhere').select())
    for (const error of [twice, faulty, unknown]) {
      expect(error).toBeInstanceOf(Error)
      expect([isConnectionError(error), isLockTimeout(error)]).toEqual([false, false])
      expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('s3cret')
    }
    expect(isRowFault(unknown)).toBe(false)
  })

  it('notifies after the commit, never after a rollback, only on the channel, until unlistened', async () => {
    const { knex, listen } = db
    const payloads: string[] = []
    let onNotification = (): void => undefined
    const last = new Promise<void>((resolve) => (onNotification = resolve))
    const unlisten = await listen('Items "odd"', (payload) => payloads.push(payload))
    await listen('last', () => onNotification())
    await knex.transaction(async (tx) => {
      await tx.raw('select pg_notify(?, ?)', ['Items "odd"', 'one'])
      payloads.push('before the commit')
    })
    await caught(
      knex.transaction(async (tx) => {
        await tx.raw('select pg_notify(?, ?)', ['Items "odd"', 'rolled back'])
        throw new Error('no')
      }),
    )
    await knex.raw('select pg_notify(?, ?)', ['items', 'other channel'])
    await knex.raw('select pg_notify(?, ?)', ['Items "odd"', 'two'])
    await knex.raw('select pg_notify(?, ?)', ['last', ''])
    await last
    expect(payloads).toEqual(['before the commit', 'one', 'two'])
    await unlisten()
    const notified = new Promise<void>((resolve) => (onNotification = resolve))
    await knex.raw('select pg_notify(?, ?)', ['Items "odd"', 'three'])
    await knex.raw('select pg_notify(?, ?)', ['last', ''])
    await notified
    expect(payloads).toHaveLength(3)
  })

  it('lets each statement of a function see what others committed while it waited for the lock', async () => {
    const { knex, kind } = db
    await knex('item').insert({ id: 1 })
    await knex.raw(`
      create function after_lock() returns bigint language plpgsql as $$
      declare many bigint;
      begin
        perform id from item where id = 1 for update;
        select count(*) into many from item;
        return many;
      end $$`)
    let waiting: PromiseLike<{ rows: unknown[] }> | undefined
    await knex.transaction(async (tx) => {
      await tx('item').where({ id: 1 }).forUpdate().first()
      await tx('item').insert({ id: 2 })
      // The statement takes its snapshot before the commit, and then waits.
      waiting = knex.raw('select after_lock() as many').then((result) => result)
      if (kind === 'embedded') return
      const blocked = `select 1 from pg_locks where not granted and pg_backend_pid() = any (pg_blocking_pids(pid))`
      for (let tries = 0; (await tx.raw(blocked)).rows.length === 0; tries++) {
        if (tries > 400) throw new Error('the function never waited')
        await setTimeout(5)
      }
    })
    expect((await waiting)?.rows).toEqual([{ many: '2' }])
  })

  it('raises errors of functions with their code', async () => {
    const { knex } = db
    await knex.raw(`create function no() returns int language plpgsql as
      $$ begin raise exception 'never' using errcode = '42501'; end $$`)
    expect(await caught(knex.raw('select no()'))).toMatchObject({ code: '42501' })
  })

  it('lets timers and immediates run between statements and after transactions', async () => {
    const { knex } = db
    let turns = 0
    const turn = (): void => {
      turns++
      next = setImmediate(turn)
    }
    let next = setImmediate(turn)
    for (let i = 0; i < 20; i++) await knex.raw('select 1')
    const afterStatements = turns
    for (let i = 0; i < 20; i++) await knex.transaction((tx) => tx.raw('select 1'))
    clearImmediate(next)
    expect(afterStatements).toBeGreaterThanOrEqual(19)
    expect(turns - afterStatements).toBeGreaterThanOrEqual(19)
  })
})
