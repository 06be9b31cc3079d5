import { once } from 'node:events'
import { type Socket, connect, createServer } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import type { Knex } from 'knex'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isConnectionError, isLockTimeout } from '../../src/store/database.ts'
import { type PostgresDatabase, UnfitPostgres, checkPostgres, openPostgres } from '../../src/store/postgres.ts'
import { testDatabase, testPostgres } from '../support/database.ts'
import type { OwnPostgres } from '../support/postgres.ts'
import { startTestServer } from '../support/test-server.ts'

const caught = (promise: PromiseLike<unknown>): Promise<unknown> =>
  Promise.resolve(promise).then(
    () => undefined,
    (error: unknown) => error,
  )

const backend = async (knex: Knex): Promise<number> => (await knex.raw('select pg_backend_pid() as pid')).rows[0].pid

/** A proxy that can be cut silently: it drops bytes without closing connections. */
async function startProxy(url: string): Promise<{ url: string; cut(): void; stop(): void }> {
  const to = new URL(url)
  const sockets: Socket[] = []
  const server = createServer((client) => {
    const upstream = connect(Number(to.port || 5432), to.hostname)
    for (const socket of [client, upstream]) sockets.push(socket.on('error', () => undefined))
    client.pipe(upstream).pipe(client)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const proxied = new URL(url)
  proxied.host = `127.0.0.1:${address.port}`
  return {
    url: proxied.href,
    cut() {
      for (const socket of sockets) socket.unpipe().pause()
    },
    stop() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

describe.concurrent('the Postgres store', () => {
  let database: { url: string; drop: () => Promise<void> }
  beforeAll(async () => {
    database = await testDatabase()
    const db = openPostgres({ url: database.url })
    await db.knex.raw('create table item (id int primary key)')
    await db.knex('item').insert([{ id: 1 }, { id: 2 }])
    await db.close()
  })
  afterAll(() => database.drop())

  async function use(
    run: (db: PostgresDatabase, errors: unknown[]) => Promise<void>,
    options: object = {},
  ): Promise<void> {
    const errors: unknown[] = []
    const db = openPostgres({ url: database.url, poolMax: 4, onError: (error) => errors.push(error), ...options })
    try {
      await run(db, errors)
    } finally {
      await db.close()
    }
  }

  it('bounds every wait on every connection', () =>
    use(
      async ({ knex }) => {
        const read = async (tx: Knex): Promise<string[]> => {
          const names = [
            'synchronous_commit',
            'lock_timeout',
            'statement_timeout',
            'idle_in_transaction_session_timeout',
          ]
          const tcp = ['tcp_keepalives_idle', 'tcp_keepalives_interval', 'tcp_keepalives_count', 'tcp_user_timeout']
          const list = [...names, ...tcp, 'application_name'].map((name) => `current_setting('${name}')`)
          return (await tx.raw(`select array[${list.join(',')}] as all`)).rows[0].all
        }
        // Concurrently: the first holds its connection until the second has another.
        const [first, second] = await knex.transaction(async (tx) => [
          [await read(tx), await backend(tx)],
          await knex.transaction(async (other) => [await read(other), await backend(other)]),
        ])
        expect(first[0]).toEqual(['on', '2s', '6s', '2s', '3', '1', '3', '5000', 'purser-test'])
        expect(second[0]).toEqual(first[0])
        expect(second[1]).not.toBe(first[1])
      },
      { applicationName: 'purser-test' },
    ))

  it('keeps a stronger synchronous_commit of the operator, and replaces a weaker one', async () => {
    for (const [theirs, ours] of [
      ['remote_apply', 'remote_apply'],
      ['off', 'on'],
      ['local', 'on'],
    ]) {
      const url = new URL(database.url)
      url.searchParams.set('options', `-c synchronous_commit=${theirs}`)
      await use(
        async ({ knex }) => {
          expect((await knex.raw('show synchronous_commit')).rows).toEqual([{ synchronous_commit: ours }])
        },
        { url: url.href },
      )
    }
  })

  it('stops waiting for a lock, and rolls back', () =>
    use(async ({ knex }) => {
      const holder = await knex.transaction()
      await holder('item').where({ id: 1 }).forUpdate()
      const waiting = knex.transaction(async (tx) => {
        await tx('item').insert({ id: 10 })
        // An idle holder would be terminated after the same 2 s, so this one stays busy.
        const waits = Promise.resolve(tx('item').where({ id: 1 }).forUpdate())
        const busy = Promise.resolve(holder.raw('select pg_sleep(2.5)'))
        await Promise.all([waits, busy])
      })
      const error = await caught(waiting)
      expect([isLockTimeout(error), isConnectionError(error)]).toEqual([true, false])
      await caught(holder.rollback())
      expect(await knex('item').where({ id: 10 })).toEqual([])
    }))

  it('loses an idle transaction with its locks, and continues', () =>
    use(async ({ knex }, errors) => {
      const idle = await knex.transaction()
      await idle('item').where({ id: 2 }).forUpdate()
      while (errors.length === 0) await setTimeout(20)
      expect(isConnectionError(await caught(idle('item').select()))).toBe(true)
      await caught(idle.rollback())
      expect(await knex('item').where({ id: 2 }).forUpdate()).toEqual([{ id: 2 }])
    }))

  it('survives the end of an idle connection, and of one in use', () =>
    use(async ({ knex }, errors) => {
      const idle = await backend(knex)
      await knex
        .transaction(async (tx) => tx.raw('select pg_terminate_backend(?, 5000)', [idle]))
        .catch(() => undefined)
      // The pool may have returned that same connection, which then terminates itself.
      expect(await backend(knex)).not.toBe(idle)
      const sleeping = knex.transaction(async (tx) => {
        const pid = await backend(tx)
        await Promise.all([tx.raw('select pg_sleep(20)'), knex.raw('select pg_terminate_backend(?, 5000)', [pid])])
      })
      expect(isConnectionError(await caught(sleeping))).toBe(true)
      expect((await knex.raw('select 1 as one')).rows).toEqual([{ one: 1 }])
      expect(errors.length).toBeGreaterThan(0)
    }))

  it('stops waiting for a server that no longer answers, and does not use that connection again', async () => {
    const proxy = await startProxy(database.url)
    await use(
      async ({ knex }) => {
        expect((await knex.raw('select 1 as one')).rows).toEqual([{ one: 1 }])
        proxy.cut()
        expect(isConnectionError(await caught(knex.raw('select 2 as two')))).toBe(true)
        expect((await knex.raw('select 3 as three')).rows).toEqual([{ three: 3 }])
      },
      { url: proxy.url, statementSeconds: 0.5, poolMax: 1 },
    )
    proxy.stop()
  })

  it('stops waiting within seconds by default', async () => {
    const proxy = await startProxy(database.url)
    await use(
      async ({ knex }) => {
        await knex.raw('select 1 as one')
        proxy.cut()
        expect(isConnectionError(await caught(knex.raw('select 2 as two')))).toBe(true)
      },
      { url: proxy.url },
    )
    proxy.stop()
  }, 20_000)

  it('fails soon at a closed port, and at a silent server', async () => {
    const mute = createServer((socket) => void socket.on('error', () => undefined)).listen(0, '127.0.0.1')
    await once(mute, 'listening')
    const address = mute.address()
    const port = address !== null && typeof address === 'object' ? address.port : 0
    for (const url of [`postgres://purser@127.0.0.1:1/none`, `postgres://purser@127.0.0.1:${port}/none`]) {
      const db = openPostgres({ url })
      const errors = await Promise.all([caught(db.knex.raw('select 1')), caught(db.listen('channel', () => undefined))])
      expect(errors.map(isConnectionError)).toEqual([true, true])
      await db.close()
    }
    mute.close()
  })

  it('accepts this server, and refuses one before 14', async () => {
    const old = await testPostgres()
    await checkPostgres(old.knex)
    // A search path with public first finds this function before the real one.
    await old.knex.raw(`create function public.current_setting(text) returns text language sql as
      $$ select case $1 when 'server_version_num' then '130014' else pg_catalog.current_setting($1) end $$`)
    const url = new URL(old.url)
    url.searchParams.set('options', '-c search_path=public,pg_catalog')
    const fooled = openPostgres({ url: url.href })
    await expect(checkPostgres(fooled.knex)).rejects.toThrow(UnfitPostgres)
    await fooled.close()
    await old.close()
  })
})

describe('the Postgres store, when the server fails', () => {
  let server: OwnPostgres
  beforeAll(async () => {
    server = await startTestServer()
  })
  afterAll(() => server.stop())

  it('listens again after a crash and reports the gap, once per channel subscriber', async () => {
    const errors: unknown[] = []
    const db = openPostgres({ url: server.url, onError: (error) => errors.push(error) })
    const events: string[] = []
    await db.listen(
      'a',
      (payload) => events.push(`a ${payload}`),
      () => events.push('gap a'),
    )
    await db.listen(
      'b',
      (payload) => events.push(`b ${payload}`),
      () => events.push('gap b'),
    )
    const unlisten = await db.listen(
      'c',
      () => events.push('c'),
      () => events.push('gap c'),
    )
    await unlisten()
    await server.stopHard()
    expect(isConnectionError(await caught(db.knex.raw(`select 1`)))).toBe(true)
    // Subscribed while the server is down: notified once it is up.
    const later = db.listen('d', (payload) => events.push(`d ${payload}`))
    await server.start()
    await later
    while (!events.includes('gap b')) await setTimeout(20)
    for (const channel of ['a', 'b', 'c', 'd']) await db.knex.raw(`select pg_notify(?, 'again')`, [channel])
    while (!events.includes('d again')) await setTimeout(20)
    expect(events).toEqual(['gap a', 'gap b', 'a again', 'b again', 'd again'])
    expect(errors.length).toBeGreaterThan(0)
    await db.close()
  })

  it('survives a subscriber that throws, and continues to listen', async () => {
    const errors: unknown[] = []
    const db = openPostgres({ url: server.url, onError: (error) => errors.push(error) })
    const payloads: string[] = []
    await db.listen('a', () => {
      throw new Error('subscriber')
    })
    await db.listen('a', (payload) => payloads.push(payload))
    await db.knex.raw(`select pg_notify('a', 'one')`)
    while (payloads.length === 0) await setTimeout(10)
    expect(errors).toEqual([new Error('subscriber')])
    await db.close()
  })

  it('keeps acknowledged rows through a crash', async () => {
    const db = openPostgres({ url: server.url })
    await db.knex.raw('create table kept (id int)')
    await db.knex('kept').insert({ id: 1 })
    await server.stopHard()
    await server.start()
    expect(await db.knex('kept').select()).toEqual([{ id: 1 }])
    await db.close()
  })

  it('refuses a server with fsync=off', async () => {
    const careless = await startTestServer({ settings: { fsync: 'off' } })
    const db = openPostgres({ url: careless.url })
    await expect(checkPostgres(db.knex)).rejects.toThrow(/fsync=off/)
    await db.close()
    await careless.stop()
  })
})
