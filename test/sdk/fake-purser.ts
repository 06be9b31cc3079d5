/** A fake Purser: it answers like the real one, except for the faults that a test configures. */
import { createPublicKey, randomUUID } from 'node:crypto'
import { type IncomingMessage, type ServerResponse, createServer as createHttp } from 'node:http'
import { Server as HttpsServer, createServer as createHttps } from 'node:https'
import type { Socket } from 'node:net'
import { X509Certificate } from 'node:crypto'
import { onTestFinished } from 'vitest'
import { readCsr } from '../../src/issue/csr.ts'
import { ecPair, newSerial, secondsFrom } from '../support/test-ca.ts'
import { createCsr } from '../../sdk/src/certificates/csr.ts'
import { type Identity, createIdentities } from './fake-identities.ts'
import { type FakeLog, createFakeLog } from './fake-log.ts'

type Json = Record<string, unknown>
type ReceivedRequest = { method: string; url: string; body: string; json: Json }

export type Misbehaviour = {
  /** Presented instead of the right certificate. */
  identity?: Identity
  /** Plain HTTP, for tests of contents rather than of transport. */
  plain?: boolean
  info?: (info: Json) => unknown
  /** Changes an entry before it is appended to the log. */
  entry?: (entry: Json) => Json
  reply?: (reply: Json) => unknown
  /** The parameters of the certificate. */
  leaf?: { now?: Date; notAfter?: Date; spiffeId?: string; otherKey?: boolean }
  headers?: Record<string, string>
  /** Handles a request itself; false leaves it to the fake. */
  handle?: (request: ReceivedRequest, response: ServerResponse) => boolean
}

export const identities = createIdentities()
const audience = 'https://purser.example.org'
export const secretMark = 'PROOF-OF-THE-WORKLOAD'

/** An unsigned proof: the fake ignores it, and the client under test reads only its audience. */
export const proofFor = (aud: unknown = audience): string => jws({ aud, sub: 'web', mark: secretMark })
const jws = (claims: Json): string =>
  [{ alg: 'ES256' }, claims].map((json) => Buffer.from(JSON.stringify(json)).toString('base64url')).join('.') + '.c2ln'

export type Fake = Awaited<ReturnType<typeof startFake>>

export async function startFake(wrong: Misbehaviour = {}) {
  const requests: ReceivedRequest[] = []
  const sockets = new Set<Socket>()
  const state = { wrong, log: createFakeLog(), connections: 0 }
  const empty = (): void => undefined
  let drained = empty

  const listener = (message: IncomingMessage, response: ServerResponse): void => {
    const chunks: Buffer[] = []
    message.on('data', (chunk: Buffer) => chunks.push(chunk))
    message.on('end', () => {
      const body = Buffer.concat(chunks).toString()
      const request = {
        method: message.method ?? '',
        url: message.url ?? '',
        body,
        json: body === '' ? {} : (JSON.parse(body) as Json),
      }
      requests.push(request)
      if (state.wrong.handle?.(request, response) !== true) answer(state, request, response)
    })
  }
  const server = wrong.plain ? createHttp(listener) : createHttps({ ...identities.good, ...wrong.identity }, listener)
  server.on('tlsClientError', empty)
  server.on('connection', (socket: Socket) => {
    state.connections++
    sockets.add(socket)
    socket.on('error', empty)
    socket.on('close', () => {
      sockets.delete(socket)
      if (sockets.size === 0) drained()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  const scheme = wrong.plain ? 'http' : 'https'
  return {
    url: `${scheme}://127.0.0.1:${address.port}`,
    port: address.port,
    requests,
    state,
    /** Presents another certificate from now on. */
    show: (identity: Identity) => server instanceof HttpsServer && server.setSecureContext(identity),
    posts: () => requests.filter(({ method }) => method === 'POST'),
    /** Resolves when no client holds a connection. */
    drained: () => (sockets.size === 0 ? Promise.resolve() : new Promise<void>((resolve) => (drained = resolve))),
  }
}

type State = { wrong: Misbehaviour; log: FakeLog }

function answer({ wrong, log }: State, { url, json }: ReceivedRequest, response: ServerResponse): void {
  const requestId = `req_${randomUUID()}`
  const send = (body: unknown): void => {
    response.writeHead(200, { 'content-type': 'application/json', 'purser-request-id': requestId, ...wrong.headers })
    response.end(JSON.stringify(body))
  }
  if (url === '/api/v1/server') return send(wrong.info?.(infoOf(log)) ?? infoOf(log))
  const reply = issue(wrong, log, json, requestId)
  send(wrong.reply ? wrong.reply(reply) : reply)
}

const infoOf = ({ vkey, epoch }: FakeLog): Json => ({
  version: '0.1.0',
  trustDomain: 'example.org',
  issuer: audience,
  audiences: [audience],
  features: ['x509', 'jwt', 'access-token', 'audit', 'databases'],
  logKeys: [vkey],
  epoch,
})

type CredentialRequest = {
  x509?: { csr: string }
  jwts?: { audience: string[] }[]
  accessToken?: Json
  databases?: string[]
  receipt?: { sinceSize: number }
}

function issue(
  { leaf = {}, entry = (json) => json }: Misbehaviour,
  log: FakeLog,
  request: CredentialRequest,
  requestId: string,
): Json {
  const { now = new Date(), spiffeId = 'spiffe://example.org/lab/web', otherKey = false } = leaf
  const notAfter = leaf.notAfter ?? secondsFrom(now, 3600)
  const end = new Date(Math.floor(notAfter.getTime() / 1000) * 1000)
  const times = { expiresAt: end.toISOString(), renewAfter: secondsFrom(now, 1800).toISOString() }
  const credentials: Json = {}
  const issued: Json = {}
  if (request.x509) {
    const csr = otherKey ? createCsr(ecPair().privateKey) : request.x509.csr
    const key = readCsr(csr)
    const { pem, serialNumber, sha256 } = identities.issuer.issueSvid({
      key,
      serial: newSerial(),
      now,
      notAfter: end,
      spiffeId,
      dnsNames: [],
    })
    credentials.x509 = {
      certificateChain: pem + identities.ca.issuing.pem,
      trustBundle: identities.ca.root.pem,
      serialNumber,
      notAfter: end.toISOString(),
      renewAfter: times.renewAfter,
    }
    issued.x509 = {
      serialNumber,
      sha256,
      publicKeySha256: key.publicKeySha256,
      notAfter: end.toISOString(),
      keyId: 'k',
    }
  }
  if (request.jwts) {
    const jwts = request.jwts.map(({ audience }) => {
      const jti = randomUUID()
      const token = jws({ sub: 'spiffe://example.org/lab/web', aud: audience, jti, exp: end.getTime() / 1000 })
      return { audience, token, jti, ...times }
    })
    credentials.jwts = jwts
    issued.jwts = jwts.map(({ audience, jti, expiresAt }) => ({ audience, jti, expiresAt, keyId: 'k' }))
  }
  if (request.accessToken) {
    credentials.accessToken = { token: 'purser_at_fake', id: 'tok_1', expiresAt: times.expiresAt }
    issued.accessToken = { id: 'tok_1', expiresAt: times.expiresAt }
  }
  if (request.databases) {
    const { expiresAt } = times
    const roles = request.databases.map((name, n) => ({ name, lease: `ls_${n}`, username: `role_${n}`, expiresAt }))
    credentials.databases = roles.map((role) => ({ ...role, password: 'PASSWORD-OF-A-ROLE' }))
    issued.leases = roles.map(({ name, lease, ...rest }) => ({ id: lease, database: name, ...rest }))
  }
  const workload = { id: 'wl_1', name: 'web', revision: 4 }
  const actor = {
    kind: 'workload',
    spiffeId: 'spiffe://example.org/lab/web',
    session: 'ses_1',
    workload: 'web',
    workloadId: 'wl_1',
    revision: 4,
  }
  const logEntry = entry({ v: 1, requestId, action: 'credentials.issue', outcome: 'granted', actor, issued })
  return {
    spiffeId: 'spiffe://example.org/lab/web',
    workload,
    session: { id: 'ses_1', expiresAt: times.expiresAt },
    ...credentials,
    receipt: log.append(logEntry, request.receipt?.sinceSize),
  }
}

/** SHA-256 of the fakes' root, as a client pins it. */
export const rootFingerprint = new X509Certificate(identities.ca.root.pem).fingerprint256
export const rootPem = identities.ca.root.pem
/** Of a private key in PEM, for comparison with a certificate's. */
export const publicOf = (privateKey: string): string =>
  String(createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }))
