/** Roles in databases, in the SDK against a Purser over TLS and a real Postgres: issued, renewed, replaced, given up. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { type ConnectOptions, type DatabaseRole, type Purser, PurserError, connect } from '@purser/sdk'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { startNetwork } from '../support/cut-network.ts'
import { type Shop, definitionFor, rolesAt, startShop } from '../support/leases.ts'
import { readLog } from '../support/operator.ts'
import { type TargetServer, startTarget } from '../support/target.ts'
import { failing } from './failing.ts'
import { Pool } from 'pg'

vi.setConfig({ testTimeout: 60_000 })
const patience = { timeout: 30_000, interval: 20 }

let target: TargetServer
let shop: Shop

/**
 * Roles in `orders` live for an hour, and can be renewed. So do those in `capped`, but an hour is also their maximum. Roles in
 * `brief` live for 6 s at a time. Those in `ending` are replaced after 10 s and expire after 21.
 */
beforeAll(async () => {
  target = await startTarget()
  shop = await startShop(
    target,
    { store: 'postgres', tls: true },
    { defaultLifetimeSeconds: 3600, maxLifetimeSeconds: 7200 },
  )
  for (const more of [
    { name: 'capped', defaultLifetimeSeconds: 3600, maxLifetimeSeconds: 3600 },
    { name: 'brief', defaultLifetimeSeconds: 6, maxLifetimeSeconds: 3600 },
    { name: 'ending', defaultLifetimeSeconds: 20, maxLifetimeSeconds: 21 },
  ])
    await admin('POST', '/api/v1/databases', definitionFor(target, more))
  for (const name of ['seller', 'fickle', 'greedy']) await admin('POST', '/api/v1/workloads', entryFor(name, granted))
})
const clients: Purser[] = []
afterAll(async () => {
  for (const purser of clients) purser.close()
  await shop?.purser.stop()
  await target.stop()
})

const granted = ['orders', 'capped', 'brief', 'ending', 'nowhere']
const entryFor = (name: string, databases: string[]) => ({
  name,
  attestor: 'lab',
  match: { 'oidc:sub': name },
  spiffeId: `spiffe://example.org/lab/${name}`,
  grants: { x509: { maxLifetimeSeconds: 3600 }, jwt: { audiences: ['payments'] }, databases },
  maxSessionSeconds: 7200,
})
const admin = (method: string, path: string, body?: unknown, headers?: Record<string, string>) =>
  shop.purser.asAdmin(method, path, body, headers)

type Connected = { purser: Purser; warnings: string[]; events: string[] }
async function client(more: ConnectOptions = {}, sub = 'seller'): Promise<Connected> {
  const warnings: string[] = []
  const events: string[] = []
  const purser = await connect({
    addr: shop.purser.url,
    ca: { pem: readFileSync(join(shop.purser.dataDir, 'ca.pem'), 'utf8') },
    proof: () => shop.issuer.token({ sub, jti: undefined }),
    logKey: shop.purser.vkeys,
    env: {},
    onWarning: (warning) => warnings.push(warning),
    ...more,
  })
  purser.on('disconnected', ({ error }) => events.push(error.code))
  clients.push(purser)
  return { purser, warnings, events }
}

/** Replaces the role in `capped`: its first renewal reaches the maximum lifetime, so the second one returns another role. */
async function replaceRole(purser: Purser): Promise<DatabaseRole> {
  const role = await purser.databases.get('capped')
  const renewed = await purser.databases.get('capped', { fresh: true })
  expect(renewed.lease).toBe(role.lease)
  return purser.databases.get('capped', { fresh: true })
}
/** Moves the end of a role into the past, in the database of Purser. */
const expire = async ({ lease }: DatabaseRole): Promise<unknown> =>
  shop.purser
    .knex('lease')
    .where({ id: lease })
    .update({ expires_at: new Date(Date.now() - 1_000) })

const currentUser = async ({ username, password }: DatabaseRole): Promise<unknown> => {
  const session = await target.login(username, password)
  try {
    return (await session.query('select current_user as me')).rows[0]?.me
  } finally {
    await session.end()
  }
}
const stateOf = async ({ lease }: DatabaseRole): Promise<string> => (await shop.lease(lease)).state
/** A client that gives a lease up does so at once, so that a second shows that it does not. */
async function staysActive(role: DatabaseRole): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  expect(await stateOf(role)).toBe('active')
}
/** The reason of a lease's end, after that end. */
async function reasonOf(role: DatabaseRole): Promise<unknown> {
  await vi.waitFor(async () => {
    await shop.purser.runJobs()
    expect(await stateOf(role)).toBe('revoked')
  }, patience)
  return (await shop.lease(role.lease))['reason']
}
/** A promise, and the function that resolves it. */
const gate = () => {
  let open = (): void => undefined
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { opened, open }
}

describe('get()', () => {
  test('refuses malformed names, and reports refusals by their codes, none of which means that Purser is away', async () => {
    const { purser, events } = await client({ jwts: ['payments'] })
    for (const wrong of ['Orders', '', 'a/b', '../orders', 'a'.repeat(64), 7 as unknown as string])
      expect((await failing(purser.databases.get(wrong))).code).toBe('bad_options')
    expect(() => purser.databases.watch('NO NAME')).toThrow(PurserError)
    expect((await failing(purser.databases.get('payroll'))).code).toBe('not_granted')
    expect((await failing(purser.databases.get('nowhere'))).code).toBe('not_found')
    expect((await failing(client({ databases: ['orders', 'payroll'] }))).code).toBe('not_granted')
    expect((await failing(client({ databases: ['ORDERS'] }))).code).toBe('bad_options')
    expect(await rolesAt(target)).toEqual([])
    await target.stopHard()
    expect((await failing(purser.databases.get('orders'))).code).toBe('unavailable')
    // A database that is down affects no other request.
    await purser.jwt('payments')
    await purser.renew()
    await target.start()
    expect(events).toEqual([])
    expect(await currentUser(await purser.databases.get('orders'))).toMatch(/^purser_/)
  })

  test('roles of connect() need no further request; concurrent calls for one name share a role', async () => {
    const { purser } = await client({ databases: ['orders'] })
    const role = await purser.databases.get('orders')
    expect(role).toMatchObject({ name: 'orders', lease: expect.stringMatching(/^ls_/) })
    expect(await currentUser(role)).toBe(role.username)
    const all = await Promise.all(
      ['orders', 'capped', 'brief', 'capped', 'brief'].map((name) => purser.databases.get(name)),
    )
    expect(all.map(({ name }) => name)).toEqual(['orders', 'capped', 'brief', 'capped', 'brief'])
    expect([all[0], all[1], all[2]]).toEqual([role, all[3], all[4]])
    expect(new Set(all.map(({ lease }) => lease)).size).toBe(3)
    expect(await Promise.all(all.map(currentUser))).toEqual(all.map(({ username }) => username))
  })

  test('works for a client with an access token, and for a client with only its proof', async () => {
    for (const options of [{ accessToken: true }, {}]) {
      const { purser } = await client({ x509: false, ...options })
      expect(await currentUser(await purser.databases.get('orders'))).toMatch(/^purser_/)
    }
  })

  test('shows a password in no output of the role', async () => {
    const { purser, warnings } = await client({ databases: ['orders'] })
    const role = await purser.databases.get('orders')
    expect(role.password).toMatch(/^[\w-]{32}$/)
    for (const value of [role, { role }, [role], { ...role }, purser, purser.databases]) {
      expect(inspect(value, { depth: 10 })).not.toContain(role.password)
      expect(JSON.stringify(value)).not.toContain(role.password)
    }
    expect(inspect(role)).toContain(role.username)
    expect(JSON.stringify(await readLog(shop.purser)) + warnings.join()).not.toContain(role.password)
  })

  test('returns another role if the lease was ended and the caller requests a fresh one', async () => {
    const { purser } = await client({ databases: ['orders'] })
    const role = await purser.databases.get('orders')
    const fresh = await purser.databases.get('orders', { fresh: true })
    expect([fresh.lease, fresh.expiresAt >= role.expiresAt]).toEqual([role.lease, true])
    await admin('POST', `/api/v1/leases/${role.lease}:revoke`)
    expect((await purser.databases.get('orders')).lease).toBe(role.lease)
    const [first, second] = await Promise.all([0, 1].map(() => purser.databases.get('orders', { fresh: true })))
    expect(first?.lease).not.toBe(role.lease)
    expect(second).toBe(first)
    expect(await purser.databases.get('orders')).toBe(first)
  })

  test('is refused above the limit of one session, which limits nothing else', async () => {
    const { purser, events } = await client({ databases: ['orders'] }, 'greedy')
    const { lease } = await purser.databases.get('orders')
    const row = await shop.purser.knex('lease').where({ id: lease }).first()
    const more = Array.from({ length: 63 }, (_, n) => ({ ...row, id: `ls_${n}`, username: `purser_none_${n}` }))
    await shop.purser.knex('lease').insert(more)
    expect(await failing(purser.databases.get('brief'))).toMatchObject({ code: 'rate_limited', retryAfterSeconds: 60 })
    await purser.renew()
    expect(events).toEqual([])
    await shop.purser.knex('lease').where('username', 'like', 'purser_none_%').delete()
    expect((await purser.databases.get('brief')).name).toBe('brief')
  })

  test('ends at an abort signal, and at close()', async () => {
    const { purser } = await client()
    const controller = new AbortController()
    controller.abort()
    expect((await failing(purser.databases.get('orders', { signal: controller.signal }))).code).toBe('aborted')
    const waiting = failing(purser.databases.get('brief'))
    purser.close()
    expect((await waiting).code).toBe('closed')
    expect((await failing(purser.databases.get('brief'))).code).toBe('closed')
    expect(() => purser.databases.watch('brief')).toThrow(PurserError)
  })
})

describe('a role', () => {
  test.concurrent('is renewed under the same name, in the background', async () => {
    const { purser } = await client({ databases: ['brief'] })
    const role = await purser.databases.get('brief')
    const renewed: DatabaseRole[] = []
    const changed: DatabaseRole[] = []
    const watch = purser.databases.watch('brief', (next) => changed.push(next))
    watch.on('renewed', (next) => renewed.push(next))
    await vi.waitFor(() => expect(renewed.length).toBeGreaterThan(2), patience)
    const now = await purser.databases.get('brief')
    expect(now).toBe(renewed.at(-1))
    expect(now.expiresAt.getTime()).toBeGreaterThan(role.expiresAt.getTime() + 3_000)
    expect([now.username, now.password]).toEqual([role.username, role.password])
    expect(await currentUser(now)).toBe(role.username)
    expect(changed).toEqual([])
  })

  test.concurrent('expires unless a caller received it', async () => {
    const { purser } = await client()
    const watch = purser.databases.watch('brief')
    let role: DatabaseRole | undefined
    watch.on('change', (next) => {
      role = next
      watch.close()
    })
    await vi.waitFor(() => expect(role).toBeDefined(), patience)
    if (!role) throw new Error('the watch delivered no role')
    const end = role.expiresAt.getTime()
    await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(end + 500), patience)
    // Never renewed: it keeps its first end.
    expect((await shop.lease(role.lease))['expires_at']).toEqual(role.expiresAt)
    expect((await purser.databases.get('brief')).lease).not.toBe(role.lease)
  })

  test.concurrent(
    'is left by a pool under load without an error, and its role ends once the pool is done',
    async () => {
      const { purser, warnings } = await client({ databases: ['ending'] })
      const poolFor = ({ username, password }: DatabaseRole): Pool => {
        const { host, port, database } = target
        const pool = new Pool({ host, port, database, user: username, password, max: 4 })
        pool.on('error', (error) => failures.push(error))
        return pool
      }
      const failures: unknown[] = []
      const leases = new Set<unknown>()
      const old = await purser.databases.get('ending')
      let pool = poolFor(old)
      const ending = new AbortController()
      purser.databases.watch('ending', async (role) => {
        const before = pool
        pool = poolFor(role)
        while (before.waitingCount > 0) await new Promise((resolve) => setTimeout(resolve, 20))
        await before.end()
        ending.abort()
      })
      const work = async (): Promise<void> => {
        while (!ending.signal.aborted) {
          const { rows } = await pool.query<{ me: string }>('select current_user as me, pg_sleep(0.02)')
          leases.add(rows[0]?.me)
        }
      }
      const all = await Promise.allSettled(Array.from({ length: 8 }, work))
      expect([...all.filter(({ status }) => status === 'rejected'), ...failures]).toEqual([])
      expect(await reasonOf(old)).toBe('given_up')
      const { rows } = await pool.query<{ me: string }>('select current_user as me')
      expect([...leases.add(rows[0]?.me)]).toEqual([old.username, (await purser.databases.get('ending')).username])
      await pool.end()
      expect([failures, warnings]).toEqual([[], []])
    },
  )

  test('is replaced at its maximum lifetime; the old role works until every listener is done, and then ends', async () => {
    const { purser, warnings } = await client({ databases: ['capped'] })
    const old = await purser.databases.get('capped')
    const session = await target.login(old.username, old.password)
    const ending = new Promise((resolve) => session.once('end', resolve))
    const [mayGo, alsoMayGo] = [gate(), gate()]
    const delivered: DatabaseRole[] = []
    purser.databases.watch('capped', async (role) => {
      delivered.push(role)
      await mayGo.opened
    })
    purser.databases.watch('capped', async () => alsoMayGo.opened)
    const next = await replaceRole(purser)
    await vi.waitFor(() => expect(delivered).toEqual([next]), patience)
    expect(next.username).not.toBe(old.username)
    expect(await purser.databases.get('capped')).toBe(next)
    mayGo.open()
    expect(await currentUser(next)).toBe(next.username)
    // One of the two listeners is not done.
    expect((await session.query('select current_user as me')).rows[0]?.me).toBe(old.username)
    expect(await stateOf(old)).toBe('active')
    alsoMayGo.open()
    await ending
    expect(await reasonOf(old)).toBe('given_up')
    expect(await rolesAt(target)).not.toContain(old.username)
    expect(await currentUser(next)).toBe(next.username)
    expect(warnings).toEqual([])
  })

  test('is not given up for a listener that fails, nor for a watch without listeners: it lives until its own end', async () => {
    const { purser, warnings } = await client({ databases: ['capped'] })
    const old = await purser.databases.get('capped')
    const silent = purser.databases.watch('capped')
    purser.databases.watch('capped', async ({ username }) => Promise.reject(new Error(`no pool for ${username}`)))
    const delivered: DatabaseRole[] = []
    purser.databases.watch('capped', (role) => delivered.push(role))
    await replaceRole(purser)
    await vi.waitFor(() => expect(warnings).toHaveLength(1), patience)
    expect(warnings[0]).toMatch(/a listener of a watched database \(capped\) failed: no pool for purser_/)
    expect(delivered).toHaveLength(1)
    silent.close()
    expect(await currentUser(old)).toBe(old.username)
    await staysActive(old)
    await expire(old)
    expect(await reasonOf(old)).toBe('over')
  })
})

describe('after a failure', () => {
  test.concurrent(
    'the renewal notices a lease that an operator ended, and the watch delivers another role',
    async () => {
      const { purser } = await client({ databases: ['brief'] })
      const role = await purser.databases.get('brief')
      const delivered: DatabaseRole[] = []
      purser.databases.watch('brief', (next) => delivered.push(next))
      await admin('POST', `/api/v1/leases/${role.lease}:revoke`)
      await vi.waitFor(() => expect(delivered).toHaveLength(1), patience)
      expect(delivered[0]?.username).not.toBe(role.username)
      expect(delivered[0] && (await currentUser(delivered[0]))).toBe(delivered[0]?.username)
    },
  )

  test.concurrent(
    'a removed grant: the watch reports it, the role serves until its end, and then get() is refused',
    async () => {
      const { purser, events } = await client({ databases: ['brief'] }, 'fickle')
      const role = await purser.databases.get('brief')
      const errors: string[] = []
      purser.databases.watch('brief').on('error', ({ code }) => errors.push(code))
      const { body } = await admin('GET', '/api/v1/workloads/fickle')
      const headers = { 'if-match': `"${String(body['revision'])}"` }
      await admin('PUT', '/api/v1/workloads/fickle', entryFor('fickle', []), headers)
      await vi.waitFor(() => expect(errors).toContain('not_granted'), patience)
      if (role.expiresAt.getTime() > Date.now() + 1_000)
        expect((await purser.databases.get('brief')).lease).toBe(role.lease)
      await vi.waitFor(
        async () => expect((await failing(purser.databases.get('brief'))).code).toBe('not_granted'),
        patience,
      )
      expect(new Set(errors)).toEqual(new Set(['not_granted']))
      expect(events).toEqual([])
    },
  )

  test.concurrent(
    'Purser away past the end: served until then, then expired with its cause, and another role once it is back',
    async ({ onTestFinished }) => {
      const network = await startNetwork(shop.purser.url)
      onTestFinished(() => network.stop())
      const { purser } = await client({ addr: network.url, databases: ['brief'] })
      const role = await purser.databases.get('brief')
      const delivered: DatabaseRole[] = []
      const errors: PurserError[] = []
      purser.databases.watch('brief', (next) => delivered.push(next)).on('error', (error) => errors.push(error))
      network.cut()
      await vi.waitFor(() => expect(errors).toHaveLength(1), patience)
      expect(errors[0]?.code).toMatch(/unreachable|incomplete/)
      expect((await purser.databases.get('brief')).lease).toBe(role.lease)
      await vi.waitFor(
        async () => expect((await failing(purser.databases.get('brief'))).code).toBe('expired'),
        patience,
      )
      const error = await failing(purser.databases.get('brief'))
      expect(error.message).toMatch(/^the role in brief expired at 20.*and could not be replaced: /)
      expect(error.cause).toBeInstanceOf(PurserError)
      expect(error.message).not.toContain(role.password)
      network.mend()
      await vi.waitFor(() => expect(delivered).toHaveLength(1), patience)
      expect(await purser.databases.get('brief')).toBe(delivered[0])
      expect(delivered[0] && (await currentUser(delivered[0]))).toBe(delivered[0]?.username)
    },
  )

  test('another session has other roles, and the watch delivers them', async () => {
    let jti = 'one'
    const { purser } = await client({ databases: ['orders'], proof: () => shop.issuer.token({ sub: 'seller', jti }) })
    const role = await purser.databases.get('orders')
    const delivered: DatabaseRole[] = []
    purser.databases.watch('orders', (next) => delivered.push(next))
    const before = purser.session.id
    jti = 'two'
    await admin('POST', '/api/v1/revocations', { session: before })
    await purser.renew()
    expect(purser.session.id).not.toBe(before)
    await vi.waitFor(() => expect(delivered).toHaveLength(1), patience)
    expect(delivered[0]?.username).not.toBe(role.username)
    expect(delivered[0] && (await currentUser(delivered[0]))).toBe(delivered[0]?.username)
  })

  test('close() while a listener runs: nothing is given up, and nothing follows', async () => {
    const { purser, warnings } = await client({ databases: ['capped'] })
    const old = await purser.databases.get('capped')
    const mayGo = gate()
    const delivered: DatabaseRole[] = []
    purser.databases.watch('capped', async (role) => {
      delivered.push(role)
      await mayGo.opened
    })
    await replaceRole(purser)
    await vi.waitFor(() => expect(delivered).toHaveLength(1), patience)
    purser.close()
    mayGo.open()
    await staysActive(old)
    await expire(old)
    expect(await reasonOf(old)).toBe('over')
    expect(delivered).toHaveLength(1)
    expect(warnings).toEqual([])
  })
})

test('a closed or aborted watch delivers nothing more', async () => {
  const { purser } = await client({ databases: ['orders'] })
  const role = await purser.databases.get('orders')
  const delivered: DatabaseRole[] = []
  const controller = new AbortController()
  purser.databases.watch('orders', (next) => delivered.push(next), { signal: controller.signal })
  purser.databases.watch('orders', (next) => delivered.push(next)).close()
  purser.databases.watch('orders', (next) => delivered.push(next), { signal: AbortSignal.abort() })
  controller.abort()
  await admin('POST', `/api/v1/leases/${role.lease}:revoke`)
  const next = await purser.databases.get('orders', { fresh: true })
  expect(next.lease).not.toBe(role.lease)
  expect(delivered).toEqual([])
})

test('after a restart while Purser is away, requested roles arrive as soon as it is back', async () => {
  const stateDir = mkdtempSync(join(tmpdir(), 'purser-state-'))
  const network = await startNetwork(shop.purser.url)
  onTestFinished(() => {
    network.stop()
    rmSync(stateDir, { recursive: true, force: true })
  })
  const options = { addr: network.url, stateDir, databases: ['orders'] }
  const first = await client(options)
  const role = await first.purser.databases.get('orders')
  first.purser.close()
  network.cut()
  const { purser } = await client(options)
  const delivered: DatabaseRole[] = []
  purser.databases.watch('orders', (next) => delivered.push(next))
  expect((await failing(purser.databases.get('orders'))).code).toMatch(/unreachable|incomplete/)
  network.mend()
  await vi.waitFor(() => expect(delivered).toHaveLength(1), patience)
  expect(delivered[0]?.username).not.toBe(role.username)
  expect(await purser.databases.get('orders')).toBe(delivered[0])
})
