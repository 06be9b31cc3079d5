/** Roles in databases of a Purser in memory: what a program's own tests see of renewals, moves and outages. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { DatabaseRole } from '@purser/sdk'
import { createTestPurser } from '@purser/sdk/testing'
import { expect, onTestFinished, test, vi } from 'vitest'
import { sdkProgram } from '../../support/built-sdk.ts'
import { failing } from '../failing.ts'

vi.setConfig({ testTimeout: 30_000 })
const patience = { timeout: 20_000, interval: 10 }
const spiffeId = 'spiffe://example.org/web'

function inMemory(options?: { defaultLifetimeSeconds?: number; maxLifetimeSeconds?: number }) {
  const purser = createTestPurser()
  onTestFinished(() => purser.close())
  purser.setDatabase('orders', options)
  return purser
}
const renewals = ({ requests }: ReturnType<typeof inMemory>): number =>
  requests.filter(({ path, status }) => path.endsWith(':renew') && status === 200).length

test('what is not granted, missing or no database is refused as by the real one, all or nothing', async () => {
  const purser = inMemory()
  const web = await purser.connect({ spiffeId, databaseNames: ['orders', 'nowhere'] })
  expect((await failing(web.databases.get('payroll'))).code).toBe('not_granted')
  expect((await failing(web.databases.get('nowhere'))).code).toBe('not_found')
  const both = { spiffeId, databases: ['orders', 'payroll'] }
  expect((await failing(purser.connect(both))).errors).toMatchObject([{ pointer: '/databases/1' }])
  expect(purser.leases('orders')).toEqual([])
  for (const wrong of [
    { defaultLifetimeSeconds: 5 },
    { defaultLifetimeSeconds: 60, maxLifetimeSeconds: 30 },
    { maxLifetimeSeconds: 0.5 },
  ])
    expect(() => purser.setDatabase('orders', wrong)).toThrow(/whole seconds/)
  expect(() => purser.setDatabase('NO NAME')).toThrow(/name of a database/)
})

test('a role is invented; its password is in no recorded request, its name in the log and the list of leases', async () => {
  const purser = inMemory()
  const web = await purser.connect({ spiffeId, databases: ['orders'] })
  const role = await web.databases.get('orders')
  expect(role.username).toMatch(/^purser_test_[0-9a-f]{16}$/)
  const { session } = web
  const { lease, username, expiresAt } = role
  expect(purser.leases('orders')).toEqual([
    { lease, session: session.id, spiffeId, username, state: 'active', expiresAt },
  ])
  expect(purser.requests.at(-1)?.requested?.databases).toEqual(['orders'])
  expect(JSON.stringify(purser.requests)).not.toContain(role.password)
})

test('a role is renewed, then replaced at its maximum lifetime; the old one is given up only after the listener', async () => {
  const purser = inMemory({ defaultLifetimeSeconds: 6, maxLifetimeSeconds: 7 })
  const web = await purser.connect({ spiffeId, databases: ['orders'] })
  const old = await web.databases.get('orders')
  const roles: DatabaseRole[] = []
  let done = (): void => undefined
  const mayGo = new Promise<void>((resolve) => (done = resolve))
  web.databases.watch('orders', async (role) => {
    roles.push(role)
    await mayGo
  })
  // A watch that ends while its listener is busy counts until the listener is done.
  let alsoDone = (): void => undefined
  const mayAlsoGo = new Promise<void>((resolve) => (alsoDone = resolve))
  const ending = web.databases.watch('orders', async () => {
    ending.close()
    await mayAlsoGo
  })
  await vi.waitFor(() => expect(roles).toHaveLength(1), patience)
  expect(renewals(purser)).toBeGreaterThan(0)
  expect(purser.leases('orders').map(({ username, state }) => [username, state])).toEqual([
    [old.username, 'active'],
    [roles[0]?.username, 'active'],
  ])
  done()
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(purser.leases('orders')[0]?.state).toBe('active')
  alsoDone()
  await vi.waitFor(() => expect(purser.leases('orders')[0]?.state).toBe('revoked'), patience)
  expect(purser.leases('orders')[1]?.state).toBe('active')
})

test('a lease that an operator ended and a session that ended: another role', async () => {
  const purser = inMemory()
  const web = await purser.connect({ spiffeId, databases: ['orders'] })
  const roles: DatabaseRole[] = []
  const role = await web.databases.get('orders')
  web.databases.watch('orders', (next) => roles.push(next))
  await purser.revoke({ lease: role.lease })
  expect(purser.leases('orders')[0]?.state).toBe('revoked')
  expect((await failing(purser.revoke({ lease: 'ls_0' }))).code).toBe('not_found')
  const second = await web.databases.get('orders', { fresh: true })
  expect(roles).toEqual([second])
  await purser.revoke({ spiffeId })
  purser.release({ spiffeId })
  expect(purser.leases('orders')[1]?.state).toBe('revoked')
  await web.renew()
  await vi.waitFor(() => expect(roles).toHaveLength(2), patience)
  expect(
    purser
      .leases('orders')
      .map(({ session }) => session)
      .at(-1),
  ).toBe(web.session.id)
})

test('a proof that names another instance each time makes no role of another, and requests are bounded', async () => {
  const purser = inMemory()
  purser.setDatabase('stock')
  for (const accessToken of [false, true]) {
    let n = 0
    const proof = async (): Promise<string> => purser.proof(spiffeId, { jti: `instance ${accessToken} ${n++}` })
    const web = await purser.connect({ spiffeId, x509: false, accessToken, proof })
    for (const name of ['orders', 'stock']) {
      await web.databases.get(name)
      web.databases.watch(name, () => undefined)
    }
    const requestCount = purser.requests.length
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect(purser.requests.slice(requestCount)).toEqual([])
    web.close()
  }
})

test('a role that is limited by its session is renewed with the session, and not replaced', async () => {
  const purser = inMemory()
  const web = await purser.connect({ spiffeId, lifetimeSeconds: 6, sessionSeconds: 12, databases: ['orders'] })
  const role = await web.databases.get('orders')
  expect(role.expiresAt <= web.session.expiresAt).toBe(true)
  const deliveries: [string, string, boolean][] = []
  const watch = web.databases.watch('orders', ({ lease }) => deliveries.push(['change', lease, false]))
  watch.on('renewed', ({ lease, expiresAt }) =>
    deliveries.push(['renewed', lease, expiresAt.getTime() > role.expiresAt.getTime() + 3_000]),
  )
  await vi.waitFor(() => expect(deliveries.some(([, , isMuchLater]) => isMuchLater)).toBe(true), patience)
  expect(new Set(deliveries.map(([name, lease]) => `${name} ${lease}`))).toEqual(new Set([`renewed ${role.lease}`]))
})

test('neither cached nor watched roles keep a process alive', async () => {
  const code = `
    import { createTestPurser } from '@purser/sdk/testing'
    const purser = createTestPurser()
    purser.setDatabase('orders')
    const web = await purser.connect({ spiffeId: '${spiffeId}', databases: ['orders'] })
    web.databases.watch('orders', () => undefined)
    console.log((await web.databases.get('orders')).name)`
  expect((await promisify(execFile)(process.execPath, sdkProgram(code))).stdout).toBe('orders\n')
})

test('during an outage the held role is returned, and a refused renewal is reported', async () => {
  const purser = inMemory()
  const web = await purser.connect({ spiffeId, databases: ['orders'] })
  const role = await web.databases.get('orders')
  purser.away()
  expect((await failing(web.databases.get('orders', { fresh: true }))).code).toBe('unreachable')
  expect(await web.databases.get('orders')).toBe(role)
  purser.back()
  purser.register({ spiffeId, databaseNames: [] })
  expect((await failing(web.databases.get('orders', { fresh: true }))).code).toBe('not_granted')
  expect(await web.databases.get('orders')).toBe(role)
})
