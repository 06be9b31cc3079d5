/** Servers other than Purser: none of them receives a proof. */
import { createServer as createTcp } from 'node:net'
import { createServer as createTls } from 'node:tls'
import { type ConnectOptions, type PurserError, connect } from '@purser/sdk'
import { describe, expect, onTestFinished, test } from 'vitest'
import { failing } from './failing.ts'
import { type Fake, identities, proofFor, rootFingerprint, rootPem, startFake } from './fake-purser.ts'

const quiet = { env: {}, onWarning: () => undefined }
const byFile: ConnectOptions = { ca: { pem: rootPem }, ...quiet }
const byPrint: ConnectOptions = { ca: { sha256: rootFingerprint }, ...quiet }

const refused = (options: ConnectOptions): Promise<PurserError> => failing(connect({ proof: proofFor(), ...options }))

async function sawNothing(fake: Fake): Promise<void> {
  expect(fake.requests).toEqual([])
  await fake.drained()
}

describe.each([
  ['PURSER_CA_FILE', byFile],
  ['PURSER_CA_SHA256', byPrint],
])('a server that is not Purser, under %s', (_, options) => {
  test.each([
    ['an expired chain', identities.expired, '127.0.0.1', /this machine's time/],
    ['another host name', identities.otherName, '127.0.0.1', /does not name 127\.0\.0\.1/],
    ['a workload that was granted the name', identities.workload, 'localhost', /is not a Purser server/],
    [
      'our issuing CA named as issuer, with a forged signature',
      identities.forgedIssuer,
      '127.0.0.1',
      /no trusted root/,
    ],
  ])('%s', async (_, identity, host, words) => {
    const fake = await startFake({ identity })
    const error = await refused({ ...options, addr: `https://${host}:${fake.port}` })
    expect(error.code).toBe('untrusted_server')
    expect(error.message).toMatch(words)
    await sawNothing(fake)
  })
})

describe('PURSER_CA_SHA256', () => {
  test("an attacker's leaf with our public root appended", async () => {
    const fake = await startFake({ identity: identities.rootAppended })
    const error = await refused({ ...byPrint, addr: fake.url })
    expect(error.code).toBe('untrusted_server')
    // First the check of the chain, then the failed verification.
    expect(fake.state.connections).toBe(2)
    await sawNothing(fake)
  })

  test('a chain without the root: the error names the certificates that were sent', async () => {
    const fake = await startFake({ identity: identities.wrongRoot })
    const error = await refused({ ...byPrint, addr: fake.url })
    expect(error.code).toBe('fingerprint_mismatch')
    expect(error.message).toContain('openssl x509')
    expect(fake.state.connections).toBe(1)
    await sawNothing(fake)
  })

  test('a server that changes its certificate between two connections', async () => {
    const requests: string[] = []
    let connections = 0
    const server = createTls(identities.good, (socket) => {
      socket.on('error', () => undefined)
      socket.on('data', (data) => requests.push(data.toString('latin1')))
    })
    // Before the server itself gets the connection.
    server.prependListener('connection', () => {
      connections++
      if (connections === 2) server.setSecureContext(identities.rootAppended)
    })
    server.on('tlsClientError', () => undefined)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const address = server.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const error = await refused({ ...byPrint, addr: `https://127.0.0.1:${port}` })
    expect(error.code).toBe('untrusted_server')
    expect(connections).toBe(2)
    expect(requests).toEqual([])
  })

  test("is read in openssl's format, and one match of several suffices", async () => {
    const fake = await startFake()
    const sha256 = ['00'.repeat(32), rootFingerprint.replaceAll(':', '').toLowerCase()]
    const purser = await connect({ ...quiet, addr: fake.url, ca: { sha256 }, proof: proofFor() })
    expect(purser.spiffeId).toBe('spiffe://example.org/lab/web')
    purser.close()
  })
})

test("the roots of Node.js don't know a private CA", async () => {
  const fake = await startFake()
  const error = await refused({ ...quiet, addr: fake.url })
  expect(error.code).toBe('untrusted_server')
  expect(error.message).toContain('trusted: the roots that come with Node.js')
  await sawNothing(fake)
})

test('NODE_TLS_REJECT_UNAUTHORIZED=0 has no effect', async () => {
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
  onTestFinished(() => void delete process.env.NODE_TLS_REJECT_UNAUTHORIZED)
  const fake = await startFake({ identity: identities.wrongRoot })
  const error = await refused({ ...byFile, addr: fake.url })
  expect(error.code).toBe('untrusted_server')
  await sawNothing(fake)
})

describe('plain http', () => {
  test.each([
    ['without the option', { allowPlainLoopback: false }, (fake: Fake) => fake.url],
    ['to a name', { allowPlainLoopback: true }, (fake: Fake) => `http://localhost:${fake.port}`],
    ['to another machine', { allowPlainLoopback: true }, () => 'http://192.0.2.1'],
    ['to an address that only looks like loopback', { allowPlainLoopback: true }, () => 'http://127.0.0.1.example.org'],
  ])('is refused %s', async (_, options, addr) => {
    const fake = await startFake({ plain: true })
    const error = await refused({ ...quiet, ...options, addr: addr(fake) })
    expect(error.code).toBe('bad_options')
    await sawNothing(fake)
  })
})

describe('a port without TLS', () => {
  const listen = async (onConnection: Parameters<typeof createTcp>[1]): Promise<string> => {
    const server = createTcp(onConnection)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const address = server.address()
    return `https://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
  }

  test.each([
    ['under a file', byFile],
    ['under a fingerprint', byPrint],
  ])('silence ends at the deadline, %s', async (_, options) => {
    const addr = await listen((socket) => void socket.on('error', () => undefined))
    const error = await refused({ ...options, addr, timeoutMs: 150 })
    expect(error.code).toBe('timeout')
  })

  test('plain HTTP', async () => {
    const addr = await listen(
      (socket) => void socket.on('error', () => undefined).end('HTTP/1.1 400 Bad Request\r\n\r\n'),
    )
    expect((await refused({ ...byFile, addr })).code).toBe('untrusted_server')
  })

  test('a connection that closes at once', async () => {
    const addr = await listen((socket) => void socket.on('error', () => undefined).destroy())
    expect((await refused({ ...byFile, addr })).code).toBe('unreachable')
  })

  test('a closed port', async () => {
    const error = await refused({ ...byFile, addr: 'https://127.0.0.1:1' })
    expect(error.code).toBe('unreachable')
    expect(error.message).toContain('PURSER_ADDR')
  })
})
