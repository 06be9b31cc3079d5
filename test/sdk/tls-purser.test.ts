/** Mutual TLS between workloads of a real Purser: they connect, talk, and lose revoked peers. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { type Purser, connect, peerOf } from '@purser/sdk'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { readAddress } from '../../sdk/src/connection/address.ts'
import { createRevokedCertificates } from '../../sdk/src/revocation/revoked.ts'
import { createTls } from '../../sdk/src/tls/tls.ts'
import { createTransport } from '../../sdk/src/connection/transport.ts'
import { sdkProgram } from '../support/built-sdk.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { type TestPurser, audience, startPurser } from '../support/purser.ts'
import { get, listen } from './exchange.ts'

let purser: TestPurser
let issuer: Issuer

beforeEach(async () => {
  purser = await startPurser({ tls: true })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
  await purser.asAdmin('POST', '/api/v1/workloads', {
    name: 'api',
    attestor: 'lab',
    match: { 'oidc:sub': 'api' },
    spiffeId: 'spiffe://example.org/lab/api',
    grants: { x509: { dnsNames: [], maxLifetimeSeconds: 3600 } },
    maxSessionSeconds: 7200,
  })
})
afterEach(() => purser.stop())

const [web, api] = ['spiffe://example.org/lab/web', 'spiffe://example.org/lab/api']
const environment = () => ({
  PURSER_ADDR: purser.url,
  PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'),
  PURSER_LOG_KEY: purser.vkeys.join(','),
})

async function workload(sub: string): Promise<Purser> {
  const client = await connect({
    env: environment(),
    proof: await issuer.token({ sub }),
    onWarning: (warning) => expect.fail(warning),
  })
  onTestFinished(() => client.close())
  return client
}

const revoke = (serialNumber: string) =>
  purser.asAdmin('POST', '/api/v1/revocations', { serialNumber, reason: 'keyCompromise' })

/** What connect() makes, except that it reads the CRLs five times a second. */
function impatient(client: Purser) {
  const controller = new AbortController()
  onTestFinished(() => controller.abort())
  const anchors = async () => ({ pem: [readFileSync(join(purser.dataDir, 'ca.pem'), 'utf8')], words: '' })
  const transport = createTransport({ address: readAddress(purser.url, false), anchors, timeoutMs: 10_000 })
  onTestFinished(() => transport.close())
  const warn = (warning: string) => expect.fail(warning)
  const common = { warn, now: Date.now, closing: controller.signal }
  const revoked = createRevokedCertificates({
    ...common,
    transport,
    issuer: async () => audience,
    roots: () => client.x509.trustBundle,
    random: Math.random,
    pollMs: 200,
  })
  const source = {
    trustDomain: 'example.org',
    identity: () => client.x509,
    onIdentity: (hear: () => void) => client.on('renewed', hear),
  }
  return createTls({ ...common, source: { ...source, revoked, closing: controller.signal } })
}

test('two workloads talk while each renews', async () => {
  const [server, client] = [await workload('api'), await workload('web')]
  const port = await listen(
    server.tls.server({ accept: web }, (request, response) => response.end(peerOf(request).certificate.serialNumber)),
  )
  const agent = client.tls.agent({ accept: api })
  const serials = []
  for (let n = 0; n < 3; n++) {
    for (let m = 0; m < 5; m++) serials.push((await get({ port, agent })).text.toLowerCase())
    expect(serials.at(-1)).toBe(client.x509.serialNumber)
    await Promise.all([client.renew(), server.renew()])
  }
  expect(new Set(serials).size).toBe(3)
  const other = client.tls.agent({ accept: web })
  await expect(get({ port, agent: other })).rejects.toMatchObject({ code: 'bad_peer' })
})

test('a peer that was revoked before the first contact loses its connection as soon as the first CRL arrives', async () => {
  const [server, client] = [await workload('api'), await workload('web')]
  await revoke(client.x509.serialNumber)
  const port = await listen(
    server.tls.socketServer({ accept: web }, (socket) => void socket.on('error', () => undefined).write('hello')),
  )
  const socket = client.tls.connect({ accept: api, host: '127.0.0.1', port })
  socket.on('error', () => undefined).resume()
  await once(socket, 'close')
  const reconnection = client.tls.connect({ accept: api, host: '127.0.0.1', port })
  const chunks: string[] = []
  reconnection.on('data', (chunk: Buffer) => chunks.push(chunk.toString())).on('error', () => undefined)
  await once(reconnection, 'close')
  expect(chunks).toEqual([])
})

test.each([
  ['its certificate is revoked', (client: Purser) => revoke(client.x509.serialNumber)],
  [
    'its session is',
    (client: Purser) =>
      purser.asAdmin('POST', '/api/v1/revocations', { session: client.session.id, reason: 'privilegeWithdrawn' }),
  ],
  [
    'the issuing key was stolen',
    () =>
      purser.asAdmin(
        'POST',
        '/api/v1/keys/ca:rotate',
        { compromised: true, level: 'issuing' },
        { 'purser-reason': 'stolen' },
      ),
  ],
])('an open connection ends when %s', async (_, happen) => {
  const [purser, client] = [await workload('api'), await workload('web')]
  const server = impatient(purser)
  const open: TLSSocket[] = []
  const https = server.server({ accept: web }, (_request, response) => response.end('hello'))
  https.on('secureConnection', (socket: TLSSocket) => open.push(socket))
  const port = await listen(https)
  const agent = client.tls.agent({ accept: api })
  expect(await get({ port, agent })).toMatchObject({ status: 200 })
  const closed = once(open[0] as TLSSocket, 'close')
  await happen(client)
  await closed
})

test('a client loses a revoked server', async () => {
  const [server, purser] = [await workload('api'), await workload('web')]
  const port = await listen(
    server.tls.socketServer({ accept: web }, (socket) => void socket.on('error', () => undefined)),
  )
  const client = impatient(purser)
  const socket = client.connect({ accept: api, host: '127.0.0.1', port })
  await once(socket, 'secureConnect')
  const failed = once(socket, 'error')
  await revoke(server.x509.serialNumber)
  expect(await failed).toEqual([expect.objectContaining({ code: 'revoked' })])
})

test('close() ends servers and sockets, and so the program', async () => {
  const program = `import { once } from 'node:events'
import { connect } from '@purser/sdk'
const purser = await connect({ proof: process.env.TOKEN })
const accept = purser.spiffeId
const server = purser.tls.server({ accept }, () => undefined).listen(0, '127.0.0.1')
await once(server, 'listening')
const socket = purser.tls.connect({ accept, host: '127.0.0.1', port: server.address().port })
socket.on('error', () => undefined)
await once(socket, 'secureConnect')
socket.write('GET / HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n')
await once(server, 'request')
const ended = Promise.all([once(socket, 'close'), once(server, 'close')])
purser.close()
await ended
console.log('ended')`
  const child = spawn(process.execPath, sdkProgram(program), {
    env: { ...process.env, ...environment(), TOKEN: await issuer.token() },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number]
  expect({ code, output }).toEqual({ code: 0, output: 'ended\n' })
})
