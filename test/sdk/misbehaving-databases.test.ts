/** A verified server that lies about database roles: the client discards them, at the start and later. */
import { type ConnectOptions, connect } from '@purser/sdk'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { failing } from './failing.ts'
import { type Fake, type Misbehaviour, proofFor, startFake } from './fake-purser.ts'

type Json = Record<string, unknown>

const optionsFor = ({ url, state }: Fake, more: ConnectOptions = {}): ConnectOptions => ({
  addr: url,
  allowPlainLoopback: true,
  proof: proofFor(),
  env: {},
  logKey: state.log.vkey,
  accessToken: true,
  onWarning: () => undefined,
  ...more,
})
const plain = (wrong: Misbehaviour = {}): Promise<Fake> => startFake({ plain: true, ...wrong })
const password = 'PASSWORD-OF-A-ROLE'

const issued = (entry: Json): Json => entry.issued as Json
const leases =
  (change: (all: Json[]) => unknown) =>
  (entry: Json): Json =>
    issued(entry).leases
      ? { ...entry, issued: { ...issued(entry), leases: change(issued(entry).leases as Json[]) } }
      : entry
const roles =
  (change: (all: Json[]) => unknown) =>
  (reply: Json): Json =>
    reply.databases ? { ...reply, databases: change(reply.databases as Json[]) } : reply
const first =
  (change: Json) =>
  ([role, ...rest]: Json[]): Json[] => [{ ...role, ...change }, ...rest]

describe.each(['at the start', 'later'] as const)('%s', (phase) => {
  async function failureOf(wrong: Misbehaviour) {
    const fake = await plain(wrong)
    if (phase === 'at the start') return failing(connect(optionsFor(fake, { databases: ['orders', 'stock'] })))
    const purser = await connect(optionsFor(fake))
    onTestFinished(() => purser.close())
    const error = await failing(purser.databases.get('orders'))
    // The client keeps none of it: during the back-off it has no role.
    expect((await failing(purser.databases.get('orders'))).code).toBe(error.code)
    return error
  }

  test.each<[string, (entry: Json) => Json, RegExp]>([
    ['another lease', leases(first({ id: 'ls_other' })), /leases is ls_other as role_0 in orders/],
    ['another database', leases(first({ database: 'payroll' })), /in payroll until/],
    ['another user name', leases(first({ username: 'postgres' })), /ls_0 as postgres/],
    ['another end', leases(first({ expiresAt: '2036-01-01T00:00:00Z' })), /until 2036-01-01/],
    ['one more', leases((all) => [...all, ...all]), /leases is ls_0.*ls_0/],
    ['one less', leases((all) => all.slice(1)), /leases/],
    ['none', leases(() => undefined), /leases is absent in the log/],
    ['no list', leases(() => ({})), /leases is no list/],
    ['no objects', leases((all) => all.map(() => 'ls_0')), /leases is \?/],
  ])('the log has %s', async (_, entry, words) => {
    const error = await failureOf({ entry })
    expect(error.code).toBe('receipt_mismatch')
    expect(error.message).toMatch(words)
    expect(error.message).not.toContain(password)
  })

  test.each<[string, (reply: Json) => Json, string]>([
    ['of another database', roles(first({ name: 'payroll' })), 'bad_reply'],
    ['one less', roles((all) => all.slice(1)), 'bad_reply'],
    ['one twice', roles((all) => [...all, ...all.slice(0, 1)]), 'bad_reply'],
    ['none', roles(() => undefined), 'bad_reply'],
    ['without a password', roles(first({ password: undefined })), 'bad_reply'],
    ['whose lease leads elsewhere', roles(first({ lease: 'ls_/../../tokens' })), 'bad_reply'],
    ['that is already expired', roles(first({ expiresAt: '2020-01-01T00:00:00Z' })), 'receipt_mismatch'],
    ['of another name than in the log', roles(first({ username: 'postgres' })), 'receipt_mismatch'],
  ])('roles: %s', async (_, reply, code) => {
    const error = await failureOf({ reply })
    expect(error.code).toBe(code)
    expect(error.message).not.toContain(password)
  })

  test('a role that is already expired, also by the log', async () => {
    const expired = { expiresAt: '2020-01-01T00:00:00Z' }
    const error = await failureOf({
      reply: roles((all) => all.map((json) => ({ ...json, ...expired }))),
      entry: leases((all) => all.map((json) => ({ ...json, ...expired }))),
    })
    expect([error.code, error.message]).toEqual(['bad_reply', expect.stringContaining('already expired')])
  })
})

test('a lease in the log of a client that requested none', async () => {
  const lease = { id: 'ls_0', database: 'orders', username: 'role_0', expiresAt: '2036-01-01T00:00:00Z' }
  const fake = await plain({ entry: (entry) => ({ ...entry, issued: { ...issued(entry), leases: [lease] } }) })
  const error = await failing(connect(optionsFor(fake)))
  expect([error.code, error.message]).toEqual(['receipt_mismatch', expect.stringContaining('absent here')])
})

test('a role without a request for it', async () => {
  const role = { name: 'orders', lease: 'ls_0', username: 'role_0', password, expiresAt: '2036-01-01T00:00:00Z' }
  const fake = await plain({ reply: (reply) => ({ ...reply, databases: [role] }) })
  expect((await failing(connect(optionsFor(fake, { receipts: 'off' })))).code).toBe('bad_reply')
})

test('a server that is too old gets no request', async () => {
  const fake = await plain({ info: (info) => ({ ...info, features: ['x509'] }) })
  expect((await failing(connect(optionsFor(fake, { databases: ['orders'] })))).code).toBe('not_offered')
  expect(fake.posts()).toEqual([])
})

test.each<[string, Json]>([
  ['another lease', { id: 'ls_9' }],
  ['another user name', { username: 'postgres' }],
  ['no end', { expiresAt: undefined }],
])('a renewal answered with %s fails: the role stays, and the watch reports it', async (_, change) => {
  const end = '2036-01-01T00:00:00Z'
  const lease = { id: 'ls_0', username: 'role_0', expiresAt: end, maxExpiresAt: end }
  const fake = await plain({
    handle({ url }, response) {
      if (!url.endsWith(':renew')) return false
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ ...lease, ...change }))
      return true
    },
  })
  const purser = await connect(optionsFor(fake, { databases: ['orders'] }))
  onTestFinished(() => purser.close())
  const role = await purser.databases.get('orders')
  const error = await failing(purser.databases.get('orders', { fresh: true }))
  expect(error.code).toBe('bad_reply')
  expect(error.message).not.toContain(password)
  expect(await purser.databases.get('orders')).toBe(role)
})

test('a server whose leases are all due at once gets a bounded number of requests', async () => {
  const end = (): string => new Date(Date.now() + 30).toISOString()
  const stamp = (all: Json[]): Json[] => all.map((json) => ({ ...json, expiresAt: at }))
  let at = ''
  const fake = await plain({
    entry: (entry) => {
      at = end()
      return leases(stamp)(entry)
    },
    reply: roles(stamp),
  })
  const purser = await connect(optionsFor(fake))
  onTestFinished(() => purser.close())
  const leaseIds: unknown[] = []
  purser.databases.watch('orders', ({ lease }) => leaseIds.push(lease))
  const started = performance.now()
  await vi.waitFor(() => expect(leaseIds.length).toBeGreaterThan(2), { timeout: 20_000, interval: 20 })
  // The tries are half a second apart on any machine.
  expect(performance.now() - started).toBeGreaterThan(900)
})
