/** TLS servers on loopback, with certificates from the openssl binary. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingHttpHeaders, RequestListener } from 'node:http'
import { createServer as createHttp } from 'node:http'
import { createServer as createHttps } from 'node:https'
import type { Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer as createTls } from 'node:tls'
import { onTestFinished } from 'vitest'

export type Identity = { cert: string; key: string }
export type Identities = Record<'good' | 'otherName' | 'otherCa' | 'expired' | 'clientOnly', Identity> & { ca: string }

export function makeIdentities(): Identities {
  const folder = mkdtempSync(join(tmpdir(), 'purser-outbound-'))
  const path = (name: string) => join(folder, name)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const read = (name: string) => readFileSync(path(name), 'utf8')

  const authority = (name: string): void => {
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', path(`${name}.key`))
    openssl('req', '-x509', '-new', '-key', path(`${name}.key`), '-subj', `/CN=${name}`, '-days', '2', '-out', path(`${name}.pem`)) // prettier-ignore
  }
  const leaf = (name: string, issuer: string, names: string, days: string, usage = 'serverAuth'): Identity => {
    writeFileSync(
      path(`${name}.ext`),
      `subjectAltName=${names}\nextendedKeyUsage=${usage}\nbasicConstraints=CA:FALSE\n`,
    )
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', path(`${name}.key`))
    openssl('req', '-new', '-key', path(`${name}.key`), '-subj', `/CN=${name}`, '-out', path(`${name}.csr`))
    openssl('x509', '-req', '-in', path(`${name}.csr`), '-CA', path(`${issuer}.pem`), '-CAkey', path(`${issuer}.key`), '-days', days, '-extfile', path(`${name}.ext`), '-out', path(`${name}.pem`)) // prettier-ignore
    return { cert: read(`${name}.pem`), key: read(`${name}.key`) }
  }
  try {
    authority('ca')
    authority('other')
    const localNames = 'DNS:localhost,DNS:issuer.test,IP:127.0.0.1,IP:::1'
    return {
      ca: read('ca.pem'),
      good: leaf('good', 'ca', localNames, '2'),
      otherName: leaf('otherName', 'ca', 'DNS:elsewhere.test', '2'),
      otherCa: leaf('otherCa', 'other', localNames, '2'),
      expired: leaf('expired', 'ca', localNames, '-1'),
      clientOnly: leaf('clientOnly', 'ca', localNames, '2', 'clientAuth'),
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

type ReceivedRequest = { method: string; url: string; headers: IncomingHttpHeaders; rawHeaders: string[]; body: string }
export type TestServer = { port: number; requests: ReceivedRequest[]; connections: () => number; maxOpen: () => number }

async function listen(server: Server, requests: ReceivedRequest[], host: string): Promise<TestServer> {
  const sockets = new Set<Socket>()
  let connections = 0
  let maxOpen = 0
  server.on('connection', (socket: Socket) => {
    connections++
    sockets.add(socket)
    maxOpen = Math.max(maxOpen, sockets.size)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => undefined)
  })
  await new Promise<void>((resolve, reject) => server.on('error', reject).listen(0, host, resolve))
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { port: address.port, requests, connections: () => connections, maxOpen: () => maxOpen }
}

const recording =
  (requests: ReceivedRequest[], answer: RequestListener): RequestListener =>
  (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', url = '', headers, rawHeaders } = request
      requests.push({ method, url, headers, rawHeaders, body: Buffer.concat(chunks).toString() })
      answer(request, response)
    })
  }

export async function httpsServer(
  identity: Identity,
  answer: RequestListener,
  host = '127.0.0.1',
): Promise<TestServer> {
  const requests: ReceivedRequest[] = []
  return listen(createHttps({ ...identity, keepAliveTimeout: 60_000 }, recording(requests, answer)), requests, host)
}

export async function httpServer(answer: RequestListener, host = '127.0.0.1'): Promise<TestServer> {
  const requests: ReceivedRequest[] = []
  return listen(createHttp(recording(requests, answer)), requests, host)
}

/** Speaks TLS and then whatever `onSocket` writes. */
export async function rawTlsServer(identity: Identity, onSocket: (socket: Socket) => void): Promise<TestServer> {
  const server = createTls(identity, (socket) => {
    socket.on('error', () => undefined)
    onSocket(socket)
  })
  server.on('tlsClientError', () => undefined)
  return listen(server, [], '127.0.0.1')
}
