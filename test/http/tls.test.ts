/** The listener's TLS with real handshakes: what it refuses, and which certificates identify a caller. */
import { spawn } from 'node:child_process'
import { X509Certificate, generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type RequestOptions, request } from 'node:https'
import { type ConnectionOptions, type TLSSocket, connect } from 'node:tls'
import { createCsr } from '@purser/sdk/csr'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { CertificateIssuer } from '../../src/keys/certificate.ts'
import { createX509Issuer } from '../../src/issue/x509-svid.ts'
import { readCsr } from '../../src/issue/csr.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { opensslOutput, scratch } from '../support/openssl.ts'
import { entriesOf } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { secondsFrom, testCa } from '../support/test-ca.ts'

type Client = { key: string; cert: string }
type Answer = { status: number; body: Record<string, unknown>; socket: TLSSocket }

let purser: TestPurser
let issuer: Issuer
/** The lead of the server's clock over the machine's, which TLS itself uses. */
let ahead = 0
const hour = 3_600_000

/** Issued two hours ago, for half an hour. */
let expired: Client

beforeAll(async () => {
  // The validity of its keys begins then, so that it could issue.
  ahead = -2 * hour
  purser = await startPurser({
    store: 'postgres',
    tls: true,
    now: () => new Date(Date.now() + ahead),
    env: { PURSER_TRUSTED_PROXIES: '127.0.0.0/8' },
  })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
  expired = await svid()
  ahead = 0
})
afterAll(() => purser.stop())
afterEach(() => {
  ahead = 0
})

const portOf = ({ url }: { url: string }): number => Number(new URL(url).port)

/** One request on a connection of its own, or of the agent. */
function get(path: string, options: RequestOptions & { to?: TestPurser } = {}): Promise<Answer> {
  const { to = purser, ...more } = options
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host: '127.0.0.1', port: portOf(to), path, ca: to.roots, agent: false, ...more },
      (incoming) => {
        const chunks: Buffer[] = []
        const socket = incoming.socket as TLSSocket
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
        incoming.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          resolve({ status: incoming.statusCode ?? 0, body: text === '' ? {} : JSON.parse(text), socket })
        })
      },
    )
    outgoing.on('error', reject)
    outgoing.end()
  })
}

const self = (client: Partial<Client>, more: RequestOptions = {}): Promise<Answer> =>
  get('/api/v1/credentials/self', { ...client, ...more })

/** An X.509-SVID of this server, issued to a workload. */
async function svid(from = purser): Promise<Client & { sessionId: string }> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const iat = Math.floor((Date.now() + ahead) / 1000)
  const answer = await from.call('POST', '/api/v1/credentials', {
    proof: { kind: 'jwt', token: await issuer.token({ iat, exp: iat + 600 }) },
    x509: { csr: createCsr(privateKey), lifetimeSeconds: 1800 },
  })
  const { x509, session } = answer.body as {
    x509?: { certificateChain: string }
    session?: { id: string }
  }
  if (!x509 || !session) throw new Error(answer.text)
  return {
    key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    cert: x509.certificateChain,
    sessionId: session.id,
  }
}

async function handshake(options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port: portOf(purser), ca: purser.roots, ...options })
  await once(socket, 'secureConnect')
  return socket
}

async function whoIs(socket: TLSSocket): Promise<string> {
  socket.write('GET /api/v1/credentials/self HTTP/1.1\r\nHost: x\r\n\r\n')
  const [reply] = (await once(socket, 'data')) as [Buffer]
  return reply.toString()
}

/** The openssl client in a process of its own, because this process answers it. */
async function runClient(...args: string[]): Promise<string> {
  const client = spawn('openssl', args)
  const chunks: Buffer[] = []
  client.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  client.stdin.write('GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  await once(client, 'close')
  return Buffer.concat(chunks).toString()
}

describe('a handshake', () => {
  it('below TLS 1.3 fails', async () => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.1'] as const) {
      await expect(handshake({ maxVersion, minVersion: 'TLSv1' })).rejects.toThrow(/alert|version|protocol/i)
    }
  })

  it('presents a chain that verifies, and offers only HTTP/1.1', async () => {
    const socket = await handshake({ ALPNProtocols: ['h2', 'http/1.1'] })
    expect([socket.authorized, socket.getProtocol(), socket.alpnProtocol]).toEqual([true, 'TLSv1.3', 'http/1.1'])
    const { subjectaltname } = socket.getPeerCertificate()
    expect(subjectaltname).toContain('URI:spiffe://example.org/purser/server')
    socket.destroy()
  })

  it('fails for a client that trusts another root', async () => {
    await expect(handshake({ ca: testCa(new Date()).root.pem })).rejects.toThrow(/self-signed|unable to/)
  })

  // With SSL_OP_NO_TICKET, OpenSSL's TLS 1.3 still sends tickets, but stores no session for them.
  it('is never resumed, neither by its own client nor by another', async () => {
    const client = await svid()
    const first = await handshake(client)
    const sessions: Buffer[] = []
    first.on('session', (session: Buffer) => sessions.push(session))
    expect(await whoIs(first)).toMatch(/^HTTP\/1\.1 200 /)
    first.destroy()
    for (const session of [...sessions, first.getSession()].filter((session) => session !== undefined)) {
      const resumption = await handshake({ session })
      expect(resumption.isSessionReused()).toBe(false)
      expect(await whoIs(resumption)).toMatch(/^HTTP\/1\.1 401 /)
      resumption.destroy()
    }
  })

  it('is not resumed by the openssl client either', async () => {
    const sessionFile = scratch()('session.pem')
    const to = ['s_client', '-connect', `127.0.0.1:${portOf(purser)}`, '-tls1_3', '-no_ign_eof']
    await runClient(...to, '-sess_out', sessionFile)
    expect(readFileSync(sessionFile, 'utf8')).toContain('BEGIN SSL SESSION')
    const output = await runClient(...to, '-sess_in', sessionFile)
    expect(output).toContain('HTTP/1.1 200')
    expect(output).toMatch(/^New, TLSv1\.3/m)
    expect(output).not.toMatch(/^Reused/m)
  })
})

describe('a client certificate', () => {
  it('is not required on public routes', async () => {
    expect((await get('/api/v1/server')).status).toBe(200)
    expect((await self({})).status).toBe(401)
  })

  it('of a workload identifies it on every request of its connection', async () => {
    const client = await svid()
    expect(await self(client)).toMatchObject({
      status: 200,
      body: { kind: 'workload', spiffeId: 'spiffe://example.org/lab/web', session: { id: client.sessionId } },
    })
  })

  it('of a workload is no operator', async () => {
    const answer = await get('/api/v1/workloads', await svid())
    expect(answer).toMatchObject({ status: 401, body: { code: 'unauthenticated' } })
  })

  it('of another CA is no caller, even with the serial number of a live one, and the connection stays open', async () => {
    const ca = testCa(new Date())
    const { serialNumber } = new X509Certificate((await svid()).cert)
    const answer = await self(leafOf(ca.issuing, [ca.issuing.pem, ca.root.pem], Buffer.from(serialNumber, 'hex')))
    expect(answer).toMatchObject({ status: 401, body: { code: 'unauthenticated' } })
    expect(answer.socket.authorized).toBe(true)
    expect(await entriesOf(purser, answer.body.requestId)).toMatchObject([{ reason: 'unauthenticated' }])
  })

  it('of another Purser with the same trust domain is no caller', async () => {
    const other = await startPurser({ store: 'postgres', tls: true })
    onTestFinished(() => other.stop())
    await registerLab(other, issuer)
    const client = await svid(other)
    expect((await get('/api/v1/credentials/self', { ...client, to: other })).status).toBe(200)
    expect((await self(client)).status).toBe(401)
  })

  it('signed by a leaf is no caller', async () => {
    const client = await svid()
    const file = scratch()
    file('leaf.pem', leafPem(client.cert))
    file('leaf.key', client.key)
    file('names', 'subjectAltName=URI:spiffe://example.org/lab/admin\nextendedKeyUsage=clientAuth\n')
    const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file('key.pem')]
    opensslOutput(['req', '-new', '-subj', '/', ...newKey, '-out', file('csr.pem')])
    const ca = ['-CA', file('leaf.pem'), '-CAkey', file('leaf.key'), '-days', '1', '-extfile', file('names')]
    const signed = opensslOutput(['x509', '-req', '-in', file('csr.pem'), ...ca])
    const cert = signed + client.cert + purser.roots
    expect((await self({ key: readFileSync(file('key.pem'), 'utf8'), cert })).status).toBe(401)
  })

  it('without its intermediate is no caller', async () => {
    const client = await svid()
    expect((await self({ ...client, cert: leafPem(client.cert) })).status).toBe(401)
  })

  it('that is expired or not valid yet is no caller', async () => {
    ahead = 2 * hour
    const client = await svid()
    ahead = 0
    expect(Date.parse(new X509Certificate(expired.cert).validTo)).toBeLessThan(Date.now())
    expect(Date.parse(new X509Certificate(client.cert).validFrom)).toBeGreaterThan(Date.now())
    expect((await self(expired)).status).toBe(401)
    expect((await self(client)).status).toBe(401)
  })

  it('that expires on an open connection is no caller from then on', async () => {
    const client = await svid()
    const socket = await handshake(client)
    expect(await whoIs(socket)).toMatch(/^HTTP\/1\.1 200 /)
    ahead = 1801 * 1000
    expect(await whoIs(socket)).toMatch(/^HTTP\/1\.1 401 /)
    ahead = 0
    expect(await whoIs(socket)).toMatch(/^HTTP\/1\.1 200 /)
    socket.destroy()
  })

  it('of an ended session is no caller, on the same connection', async () => {
    const client = await svid()
    expect((await self(client, { method: 'DELETE' })).status).toBe(204)
    expect((await self(client)).status).toBe(401)
  })

  it.each([
    'X-Client-Cert',
    'X-SSL-Client-Cert',
    'X-SSL-Cert',
    'SSL-Client-Cert',
    'Client-Cert',
    'X-Forwarded-Client-Cert',
    'X-Amzn-Mtls-Clientcert',
    'X-ARR-ClientCert',
  ])('is never taken from a header: %s', async (name) => {
    const client = await svid()
    const pem = leafPem(client.cert)
    const der = new X509Certificate(pem).raw.toString('base64')
    for (const value of [
      encodeURIComponent(pem),
      der,
      `:${der}:`,
      `Cert="${encodeURIComponent(pem)}";URI=spiffe://example.org/lab/web`,
    ]) {
      const answer = await self({}, { headers: { [name]: value, 'x-ssl-client-verify': 'SUCCESS' } })
      expect(answer.status).toBe(401)
    }
  })
})

describe('configured certificate files', () => {
  it('are presented by the server, while clients are verified by the roots of Purser', async () => {
    const file = scratch()
    const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file('key.pem')]
    const options = ['-subj', '/CN=given', '-addext', 'subjectAltName=IP:127.0.0.1', '-out', file('cert.pem')]
    opensslOutput(['req', '-x509', '-days', '1', ...newKey, ...options])
    const roots = readFileSync(file('cert.pem'), 'utf8')
    const purserWithCertificate = await startPurser({
      store: 'postgres',
      env: { PURSER_TLS_CERT_FILE: file('cert.pem'), PURSER_TLS_KEY_FILE: file('key.pem') },
      tls: { roots },
    })
    onTestFinished(() => purserWithCertificate.stop())
    await registerLab(purserWithCertificate, issuer)
    const client = await svid(purserWithCertificate)
    const self = await get('/api/v1/credentials/self', { ...client, to: purserWithCertificate, ca: roots })
    expect(self).toMatchObject({ status: 200, body: { kind: 'workload' } })
    const { status } = await get('/api/v1/credentials/self', {
      ...(await svid()),
      to: purserWithCertificate,
      ca: roots,
    })
    expect(status).toBe(401)
    const itself = { key: readFileSync(file('key.pem'), 'utf8'), cert: roots }
    expect((await get('/api/v1/credentials/self', { ...itself, to: purserWithCertificate, ca: roots })).status).toBe(
      401,
    )
  })
})

const leafPem = (chain: string): string => chain.slice(0, chain.indexOf('-----END CERTIFICATE-----') + 26)

function leafOf(ca: CertificateIssuer, appended: string[], serial: Buffer): Client {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const now = new Date()
  const svid = createX509Issuer({ trustDomain: 'example.org', issuer: ca, count: () => 0 }).issueSvid({
    key: readCsr(createCsr(privateKey)),
    serial,
    now,
    notAfter: secondsFrom(now, 600),
    spiffeId: 'spiffe://example.org/lab/web',
    dnsNames: [],
  })
  return { key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })), cert: [svid.pem, ...appended].join('') }
}
