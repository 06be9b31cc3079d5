/** Held credentials are served while a server other than Purser answers at its address, also across a restart. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ConnectOptions, type Purser, connect } from '@purser/sdk'
import { describe, expect, onTestFinished, test } from 'vitest'
import { failing } from './failing.ts'
import { type Misbehaviour, identities, proofFor, rootPem, startFake } from './fake-purser.ts'

const path = '/api/v1/credentials'
const status =
  (code: number, body: string, headers: Record<string, string> = {}): NonNullable<Misbehaviour['handle']> =>
  ({ url }, response) => {
    if (url !== path) return false
    response.writeHead(code, headers).end(body)
    return true
  }
const refusal = (code: number, name: string): NonNullable<Misbehaviour['handle']> =>
  status(code, JSON.stringify({ code: name, title: name }), { 'content-type': 'application/problem+json' })

async function place() {
  const stateDir = mkdtempSync(join(tmpdir(), 'purser-state-'))
  onTestFinished(() => rmSync(stateDir, { recursive: true, force: true }))
  const fake = await startFake()
  const warnings: string[] = []
  const options: ConnectOptions = {
    addr: fake.url,
    ca: { pem: rootPem },
    proof: proofFor(),
    logKey: fake.state.log.vkey,
    env: {},
    stateDir,
    onWarning: (warning) => warnings.push(warning),
  }
  const start = async (more: ConnectOptions = {}): Promise<Purser> => {
    const client = await connect({ ...options, ...more })
    onTestFinished(() => client.close())
    return client
  }
  return { fake, warnings, start }
}

type Fake = Awaited<ReturnType<typeof startFake>>

const others: [string, (fake: Fake) => void, string][] = [
  ['another server', (fake) => void fake.show(identities.wrongRoot), 'untrusted_server'],
  ['a page with 404', (fake) => void (fake.state.wrong = { handle: status(404, '<html>') }), 'refused'],
  [
    'a Purser without the route',
    (fake) => void (fake.state.wrong = { handle: refusal(404, 'not_found') }),
    'not_found',
  ],
  ['a page with 200', (fake) => void (fake.state.wrong = { handle: status(200, '<html>') }), 'bad_reply'],
  [
    'a redirect',
    (fake) => void (fake.state.wrong = { handle: status(302, '', { location: 'https://example.org' }) }),
    'redirected',
  ],
  ['no receipt', (fake) => void (fake.state.wrong = { reply: ({ receipt: _, ...reply }) => reply }), 'receipt_invalid'],
]

describe.each(others)('%s', (_, answers, code) => {
  test('at a restart: the stored credentials are served with a warning; an unverified server receives nothing', async () => {
    const { fake, warnings, start } = await place()
    const before = await start()
    const { serialNumber } = before.x509
    before.close()
    const posts = fake.posts().length
    answers(fake)
    const after = await start()
    expect(after.x509.serialNumber).toBe(serialNumber)
    expect(warnings.join('\n')).toContain('is used until it can be renewed')
    if (code === 'untrusted_server') expect(fake.posts()).toHaveLength(posts)
    const back = new Promise<unknown>((resolve) => {
      after.on('reconnected', resolve)
    })
    fake.state.wrong = {}
    fake.show(identities.good)
    await after.renew()
    expect(after.x509.serialNumber).not.toBe(serialNumber)
    await back
  })

  test('without held credentials: reported at once', async () => {
    const { fake, start } = await place()
    answers(fake)
    expect((await failing(start())).code).toBe(code)
    if (code === 'untrusted_server') expect(fake.requests).toEqual([])
  })

  test('with held credentials: they are served, with an event and a warning', async () => {
    const { fake, warnings, start } = await place()
    const client = await start({ jwts: ['payments'] })
    const disconnected: string[] = []
    client.on('disconnected', ({ error }) => disconnected.push(error.code))
    const token = await client.jwt('payments')
    answers(fake)
    expect((await failing(client.renew())).code).toBe(code)
    expect((await failing(client.renew())).code).toBe(code)
    expect(await client.jwt('payments')).toBe(token)
    expect(client.x509.spiffeId).toBe('spiffe://example.org/lab/web')
    expect(disconnected).toEqual([code])
    expect(warnings).toEqual([expect.stringContaining('stay in use until they expire')])
  })
})

test.each([
  ['attestation_failed', 401],
  ['not_granted', 403],
  ['several_workloads', 409],
])('%s at a restart concerns this workload: it is reported, whatever is stored', async (code, number) => {
  const { fake, start } = await place()
  ;(await start()).close()
  fake.state.wrong = { handle: refusal(number, code) }
  expect((await failing(start())).code).toBe(code)
})

test('a fork at a restart is reported, whatever is stored', async () => {
  const { fake, start } = await place()
  ;(await start()).close()
  fake.state.log = fake.state.log.fork(1)
  expect((await failing(start())).code).toBe('log_forked')
})

test('a server whose clock is minutes late costs no issuance at each call', async () => {
  const { fake, start } = await place()
  const clockLag = 160_000
  const served = (): number => Date.now() - clockLag
  const date = (): string => new Date(served()).toUTCString()
  fake.state.wrong = {
    get headers() {
      return { date: date() }
    },
    get leaf() {
      return { notAfter: new Date(served() + 300_000) }
    },
    reply: (reply) => ({
      ...reply,
      jwts: (reply.jwts as object[]).map((jwt) => ({
        ...jwt,
        renewAfter: new Date(served() + 150_000).toISOString(),
      })),
    }),
  }
  const client = await start({ x509: false, jwts: ['payments'] })
  const posts = fake.posts().length
  const tokens = new Set<string>()
  for (let n = 0; n < 5; n++) tokens.add(await client.jwt('payments'))
  await new Promise((done) => setTimeout(done, 100))
  expect([tokens.size, fake.posts().length - posts]).toEqual([1, 0])
})
