/** `purser credentials --database`: a role in a real Postgres as a file, once and with --watch. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { startCli } from '../support/cli.ts'
import { type Shop, definitionFor, startShop } from '../support/leases.ts'
import { type TargetServer, startTarget } from '../support/target.ts'

let target: TargetServer
let shop: Shop

beforeAll(async () => {
  target = await startTarget()
  shop = await startShop(target, { tls: true }, { defaultLifetimeSeconds: 6, maxLifetimeSeconds: 9 })
  await shop.purser.asAdmin('POST', '/api/v1/databases', definitionFor(target, { name: 'stock' }))
  await shop.purser.asAdmin('POST', '/api/v1/workloads', {
    name: 'seller',
    attestor: 'lab',
    match: { 'oidc:sub': 'seller' },
    spiffeId: 'spiffe://example.org/lab/seller',
    grants: { x509: { maxLifetimeSeconds: 3600 }, databases: ['orders', 'stock'] },
    maxSessionSeconds: 7200,
  })
}, 60_000)
afterAll(async () => {
  await shop?.purser.stop()
  await target.stop()
})

async function credentials(...argv: string[]) {
  const dir = mkdtempSync(join(tmpdir(), 'purser-role-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const [token, out] = [join(dir, 'token'), join(dir, 'out')]
  writeFileSync(token, await shop.issuer.token({ sub: 'seller' }))
  let err = ''
  const started = startCli(['credentials', '--out', out, '--proof-file', token, ...argv], {
    env: {
      PATH: process.env.PATH ?? '',
      PURSER_ADDR: shop.purser.url,
      PURSER_CA_FILE: join(shop.purser.dataDir, 'ca.pem'),
      PURSER_LOG_KEY: shop.purser.vkeys.join(' '),
    },
    onError: (text) => (err = text),
  })
  const role = (name: string): Role => JSON.parse(readFileSync(join(out, `${name}.json`), 'utf8')) as Role
  return { ...started, out, err: () => err, role }
}
type Role = { name: string; lease: string; username: string; password: string; expiresAt: string }

async function whoAmI({ username, password }: Role): Promise<unknown> {
  const session = await target.login(username, password)
  const [row] = (await session.query('select current_user as me')).rows as { me: string }[]
  await session.end()
  return row?.me
}

test('refuses invalid names, names of other files, and roles that are not granted; then nothing is written', async () => {
  for (const [name, code] of [
    ['receipt', 2],
    ['NO NAME', 2],
    ['payroll', 3],
  ] as const) {
    const { result, out } = await credentials('--database', 'orders', '--database', name)
    expect((await result).code).toBe(code)
    expect(() => statSync(join(out, 'orders.json'))).toThrow()
  }
})

test('writes NAME.json for the owner alone, with a working role, and shows the password nowhere else', async () => {
  const { result, out, role } = await credentials('--no-x509', '--database', 'orders', '--database', 'stock')
  const outcome = await result
  expect(outcome).toMatchObject({ code: 0, err: '' })
  for (const name of ['orders', 'stock']) {
    expect(statSync(join(out, `${name}.json`)).mode & 0o777).toBe(0o600)
    expect(Object.keys(role(name))).toEqual(['name', 'lease', 'username', 'password', 'expiresAt'])
    expect(await whoAmI(role(name))).toBe(role(name).username)
    expect(outcome.out).toContain(`role in the database ${name}`)
    expect(outcome.out).not.toContain(role(name).password)
  }
})

test('--watch renews the file, then replaces the role in it, while the earlier role stays valid', async () => {
  const { result, err, role, signal } = await credentials('--watch', '--database', 'orders')
  const patience = { timeout: 30_000, interval: 50 }
  await vi.waitFor(() => expect(role('orders').username).toMatch(/^purser_/), patience)
  const first = role('orders')
  await vi.waitFor(() => expect(err()).toContain('the role in orders was renewed; wrote orders.json'), patience)
  const second = role('orders')
  expect(second.username).toBe(first.username)
  expect(second.expiresAt > first.expiresAt).toBe(true)
  await vi.waitFor(() => expect(err()).toContain('new role in orders; wrote orders.json'), patience)
  expect(role('orders').username).not.toBe(first.username)
  expect((await shop.lease(first.lease)).state).toBe('active')
  expect(await whoAmI(role('orders'))).toBe(role('orders').username)
  signal('SIGTERM')
  expect((await result).code).toBe(0)
  expect(err()).not.toContain('warning')
}, 60_000)
