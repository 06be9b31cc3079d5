import { type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import { type ConnectionOptions, TLSSocket, connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createX509Issuer } from '../src/issue/x509-svid.ts'
import { createClock } from './support/clock.ts'
import { type IssuedCredentials, type Lab, createLab } from './support/lab.ts'
import { opensslOutput, scratch } from './support/openssl.ts'
import { type Ask, createAsk, readLog } from './support/operator.ts'
import { type TestPurser, startPurser } from './support/purser.ts'
import { ecPair, newSerial, secondsFrom, spkiOf, testCa } from './support/test-ca.ts'

type Seen = { status: number; body: Record<string, unknown>; serialNumber: string; reused: boolean }
type Client = { agent: Agent; get: (path: string, token?: string) => Promise<Seen> }

const hour = 3600

/** One kept-alive connection at a time. */
function clientOf(url: string, ca: string, identity?: { cert: string; key: KeyObject }): Client {
  const mine = identity && { cert: identity.cert, key: String(identity.key.export({ type: 'pkcs8', format: 'pem' })) }
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ca, ...mine })
  // Node's client has the peer's certificate only at the first answer of a connection.
  let serialNumber = ''
  return {
    agent,
    get: (path, token) =>
      new Promise((resolve, reject) => {
        const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
        const outgoing = request(url + path, { agent, headers }, (answer) => {
          if (answer.socket instanceof TLSSocket && !outgoing.reusedSocket)
            serialNumber = answer.socket.getPeerX509Certificate()?.serialNumber.toLowerCase() ?? ''
          let text = ''
          answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
          answer.on('end', () =>
            resolve({
              status: answer.statusCode ?? 0,
              body: text.startsWith('{') ? JSON.parse(text) : {},
              serialNumber,
              reused: outgoing.reusedSocket,
            }),
          )
        })
        outgoing.on('error', reject).end()
      }),
  }
}

describe('the listener under Purser’s own CA', () => {
  // Clients verify by the machine's clock: the server's begins behind it, and never passes it.
  const clock = createClock(new Date(Date.now() - (12 * hour + 300) * 1000))
  const clients: Client[] = []
  let purser: TestPurser
  let ask: Ask
  let lab: Lab

  beforeAll(async () => {
    purser = await startPurser({ store: 'postgres', tls: true, now: clock.now })
    ask = createAsk(purser)
    lab = await createLab(purser, clock)
  })
  afterAll(async () => {
    for (const { agent } of clients) agent.destroy()
    await purser.stop()
  })

  const rootsOnDisk = (): string => readFileSync(join(purser.dataDir, 'ca.pem'), 'utf8')
  function client(identity?: IssuedCredentials, ca = rootsOnDisk()): Client {
    const connection = clientOf(purser.url, ca, identity && { cert: identity.chain, key: identity.privateKey })
    clients.push(connection)
    return connection
  }
  const issued = async (): Promise<string[]> =>
    (await readLog(purser)).flatMap((entry) =>
      entry.action === 'server.certificate' ? [entry.issued?.x509?.serialNumber ?? ''] : [],
    )

  it('has a certificate with its entry, and keeps it without a reason for another', async () => {
    await purser.runJobs()
    const { serialNumber, status } = await client().get('/healthz')
    expect([status, await issued()]).toEqual([200, [serialNumber]])
  })

  it('renews at half of the certificate’s lifetime, and drops no connection for it', async () => {
    const connection = client()
    const before = await connection.get('/healthz')
    clock.advance(12 * hour)
    await purser.runJobs()
    const [same, fresh] = [await connection.get('/healthz'), await client().get('/healthz')]
    expect([same.reused, same.serialNumber]).toEqual([true, before.serialNumber])
    expect(fresh.serialNumber).not.toBe(before.serialNumber)
    expect(await issued()).toEqual([before.serialNumber, fresh.serialNumber])
  })

  it('replaces a revoked certificate of its own', async () => {
    const { serialNumber } = await client().get('/healthz')
    await ask('createRevocation', { body: { serialNumber } })
    await purser.runJobs()
    expect((await client().get('/healthz')).serialNumber).not.toBe(serialNumber)
  })

  it('checks at each request whether a client certificate is still valid, not only at the handshake', async () => {
    const identity = await lab.get()
    const connection = client(identity)
    for (const reused of [false, true]) {
      const self = await connection.get('/api/v1/credentials/self')
      expect([self.reused, self.body.session]).toMatchObject([reused, { id: identity.session }])
    }
    await ask('createRevocation', { body: { serialNumber: identity.serialNumber } })
    const after = await connection.get('/api/v1/credentials/self')
    expect([after.reused, after.status]).toEqual([true, 401])
    // A caller without a valid certificate may still use public routes.
    expect((await connection.get('/bundle')).status).toBe(200)
  })

  it('refuses certificates of a withdrawn issuing CA, on open connections and on new ones, and replaces its own', async () => {
    const identity = await lab.get()
    const connection = client(identity)
    const before = await connection.get('/api/v1/credentials/self')
    expect(before.status).toBe(200)
    await ask('rotateKey', { name: 'ca', body: { compromised: true } })
    await purser.runJobs()
    expect((await connection.get('/api/v1/credentials/self')).status).toBe(401)
    const fresh = await client(identity).get('/api/v1/credentials/self')
    expect([fresh.status, fresh.serialNumber === before.serialNumber]).toEqual([401, false])
    expect((await client(await lab.get()).get('/api/v1/credentials/self')).status).toBe(200)
  })

  it('trusts only the present roots', async () => {
    const [identity, old] = [await lab.get(), rootsOnDisk()]
    const operator = client(undefined, old)
    await operator.get('/healthz')
    await ask('rotateKey', { name: 'ca', body: { level: 'root', compromised: true } })
    await purser.runJobs()
    expect(rootsOnDisk()).not.toContain(old)
    await expect(client(undefined, old).get('/healthz')).rejects.toThrow(/certificate/)
    // The chain of a new connection ends at the new root, and the old one is refused.
    expect((await client(identity).get('/api/v1/credentials/self')).status).toBe(401)
    expect((await operator.get('/healthz')).reused).toBe(true)
  })

  it('refuses a foreign client certificate, though the handshake succeeds', async () => {
    const identity = await lab.get()
    const { issuing, root } = testCa(new Date(), { trustDomain: 'example.org' })
    const { privateKey, publicKey } = ecPair()
    const issuer = createX509Issuer({ trustDomain: 'example.org', issuer: issuing, count: () => 0 })
    const { pem } = issuer.issueSvid({
      key: { spki: spkiOf(publicKey), keyType: 'EC-P256' },
      serial: newSerial(),
      now: new Date(),
      notAfter: secondsFrom(new Date(), 600),
      spiffeId: 'spiffe://example.org/lab/web',
      dnsNames: [],
    })
    const stranger = client({ ...identity, privateKey, chain: pem + issuing.pem + root.pem })
    expect((await stranger.get('/api/v1/credentials/self')).status).toBe(401)
  })

  it('resumes no session, so that every connection presents its certificate', async () => {
    const identity = await lab.get()
    const { port } = new URL(purser.url)
    const key = String(identity.privateKey.export({ type: 'pkcs8', format: 'pem' }))
    const options = { host: '127.0.0.1', port: Number(port), ca: rootsOnDisk() }
    const sessions: Buffer[] = []
    const open = (more: ConnectionOptions): Promise<TLSSocket> =>
      new Promise((resolve, reject) => {
        const socket: TLSSocket = connect({ ...options, ...more }, () => resolve(socket))
        socket.on('session', (session) => sessions.push(session)).on('error', reject)
      })
    const first = await open({ cert: identity.chain, key })
    first.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await new Promise((resolve) => first.once('data', resolve))
    first.destroy()
    const [session] = sessions
    if (!session) throw new Error('nothing to resume')
    const second = await open({ session })
    expect(second.isSessionReused()).toBe(false)
    second.destroy()
  })

  it('checks the end of a client certificate at each request as well', async () => {
    const identity = await lab.get()
    const connection = client(identity)
    expect((await connection.get('/api/v1/credentials/self')).status).toBe(200)
    clock.advance(3600)
    const after = await connection.get('/api/v1/credentials/self')
    expect([after.reused, after.status]).toEqual([true, 401])
  })
})

describe('a listener with a certificate from files', () => {
  it('reads replaced files once both fit together', async () => {
    const file = scratch()
    const make = (name: string): { cert: string; key: string } => {
      const key = opensslOutput(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'])
      const args = ['req', '-x509', '-new', '-key', file(`${name}.key`, key), '-days', '5', '-subj', `/CN=${name}`]
      return { cert: opensslOutput([...args, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']), key }
    }
    const [first, second] = [make('first'), make('second')]
    const [certFile, keyFile] = [file('tls.crt', first.cert), file('tls.key', first.key)]
    const env = { PURSER_TLS_CERT_FILE: certFile, PURSER_TLS_KEY_FILE: keyFile }
    const purser = await startPurser({ tls: { roots: first.cert }, env })
    const serialOf = (pem: string): string => new X509Certificate(pem).serialNumber.toLowerCase()
    const presentedSerial = async (): Promise<string> => {
      const { agent, get } = clientOf(purser.url, first.cert + second.cert)
      const { serialNumber } = await get('/healthz')
      agent.destroy()
      return serialNumber
    }
    try {
      expect(await presentedSerial()).toBe(serialOf(first.cert))
      writeFileSync(certFile, second.cert)
      await purser.runJobs()
      expect(await presentedSerial()).toBe(serialOf(first.cert))
      writeFileSync(keyFile, second.key)
      await purser.runJobs()
      expect(await presentedSerial()).toBe(serialOf(second.cert))
    } finally {
      await purser.stop()
    }
  })
})
