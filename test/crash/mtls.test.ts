/**
 * Many workloads that use mutual TLS and tokens through dozens of renewals, a new root, new JWT keys, a restart of Purser
 * and its absence: none of their requests may fail. Then an absence that outlasts the certificates.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { type AddressInfo, createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { type Purser, type PurserError, connect } from '@purser/sdk'
import { requireIdentity } from '@purser/sdk/express'
import express from 'express'
import { expect, it } from 'vitest'
import { type Cluster, startCluster } from './support/cluster.ts'
import { print, countFor } from './support/print.ts'

const seconds = countFor('PURSER_CRASH_MTLS_SECONDS', 300)
const pairs = countFor('PURSER_CRASH_MTLS_PAIRS', 25)
const awayMs = countFor('PURSER_CRASH_MTLS_AWAY_MS', 30_000)
/** Lifetime in seconds of certificates and tokens. They are renewed after about ten seconds, and outlast the outage. */
const lifetimeSeconds = 60
const renewAt = 0.165

/** The same port after a restart, as behind a Service. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

type Place = { cluster: Cluster; addr: string }

async function start(env: Record<string, string> = {}): Promise<Place> {
  const port = await freePort()
  const cluster = await startCluster({
    replicas: 1,
    tls: true,
    env: {
      PURSER_LISTEN: `127.0.0.1:${port}`,
      PURSER_KEY_PUBLISH_SECONDS: '6',
      PURSER_BUNDLE_REFRESH_SECONDS: '3',
      ...env,
    },
  })
  return { cluster, addr: `https://127.0.0.1:${port}` }
}

const clientOf = ({ cluster, addr }: Place, life: number): Promise<Purser> =>
  connect({
    addr,
    env: {},
    ca: { pem: readFileSync(`${cluster.replicas[0]?.dataDir}/ca.pem`, 'utf8') },
    logKey: cluster.vkeys,
    proof: () => cluster.issuer.token({ sub: 'web' }),
    x509: { lifetimeSeconds: life },
    jwts: ['payments'],
    jwtLifetimeSeconds: life,
    renewAt,
    timeoutMs: 8_000,
    onWarning: () => undefined,
  })

type Service = { port: number; purser: Purser; served: () => number }

async function serve(purser: Purser): Promise<Service> {
  let served = 0
  const app = express()
  app.use(requireIdentity(purser, { audience: 'payments', mtls: false }))
  app.get('/', (incoming, response) => {
    served++
    response.json({ caller: incoming.identity?.spiffeId })
  })
  const server = purser.tls.server({ accept: 'spiffe://crash.example/lab/*' }, app)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, purser, served: () => served }
}

/** Sends one request with certificate and token, and returns its failure. */
async function call(
  purser: Purser,
  agent: ReturnType<Purser['tls']['agent']>,
  port: number,
): Promise<string | undefined> {
  try {
    const headers = { authorization: `Bearer ${await purser.jwt('payments')}` }
    const outgoing = request({ host: '127.0.0.1', port, agent, headers, timeout: 20_000 })
    outgoing.end()
    const [response] = (await once(outgoing, 'response')) as [NodeJS.ReadableStream & { statusCode: number }]
    let text = ''
    for await (const chunk of response) text += String(chunk)
    return response.statusCode === 200 ? undefined : `${response.statusCode} ${text}`
  } catch (error) {
    return String(error)
  }
}

it(`no request fails in ${seconds} s among ${2 * pairs} workloads`, { timeout: (seconds + 300) * 1000 }, async () => {
  const place = await start()
  const { cluster } = place
  const [replica] = cluster.replicas
  if (!replica) throw new Error('nothing was started')
  const pursers: Purser[] = []
  try {
    for (let n = 0; n < 2 * pairs; n++) pursers.push(await clientOf(place, lifetimeSeconds))
    const renewals = pursers.map((purser) => {
      const count = { renewed: 0, roots: new Set([purser.x509.trustBundle]) }
      purser.on('renewed', ({ serialNumber }) => {
        if (serialNumber !== undefined) count.renewed++
        count.roots.add(purser.x509.trustBundle)
      })
      return count
    })
    const services = await Promise.all(pursers.slice(0, pairs).map(serve))
    const failures: string[] = []
    const stopping = new AbortController()
    let requestCount = 0
    const calling = pursers.slice(pairs).map(async (purser, n) => {
      const agent = purser.tls.agent({ accept: 'spiffe://crash.example/lab/web' })
      for (let at = n; !stopping.signal.aborted; at++) {
        requestCount++
        const wrong = await call(purser, agent, services[at % pairs]?.port ?? 0)
        if (wrong !== undefined) failures.push(`${Math.round(performance.now() / 1000)} s: ${wrong}`)
        await pause(250)
      }
      agent.destroy()
    })

    const share = (part: number): Promise<void> => pause((seconds * 1000 - awayMs) * part)
    await share(0.15)
    await cluster.asAdmin('POST', '/api/v1/keys/ca:rotate', {})
    await share(0.15)
    await cluster.asAdmin('POST', '/api/v1/keys/ca:rotate', { level: 'root' })
    await cluster.asAdmin('POST', '/api/v1/keys/jwt:rotate', {})
    await share(0.3)
    await replica.stop()
    await replica.start()
    await share(0.2)
    await replica.kill()
    await pause(awayMs)
    await replica.start()
    await share(0.2)
    stopping.abort()
    await Promise.all(calling)

    const times = renewals.map((renewal) => renewal.renewed)
    print('mutual TLS through renewals', {
      workloads: pursers.length,
      requests: requestCount,
      failed: failures.length,
      'renewals each, least': Math.min(...times),
      max: Math.max(...times),
      'requests served': services.reduce((sum, { served }) => sum + served(), 0),
    })
    expect(failures.slice(0, 10)).toEqual([])
    expect(requestCount).toBeGreaterThan(pairs * 10)
    // A busy machine renews late, but every workload has renewed and has seen the new root.
    expect(Math.min(...times)).toBeGreaterThanOrEqual(Math.floor((seconds - awayMs / 1000) / (lifetimeSeconds * 0.5)))
    expect(Math.min(...renewals.map((renewal) => renewal.roots.size))).toBeGreaterThan(1)
    expect([...replica.complaints, ...replica.deaths]).toEqual([])
  } finally {
    for (const purser of pursers) purser.close()
    await cluster.stop()
  }
})

it('an outage past the certificate’s end is reported within a second of it, and ends without a restart', async () => {
  const place = await start()
  const { cluster } = place
  const [replica] = cluster.replicas
  if (!replica) throw new Error('nothing was started')
  const purser = await clientOf(place, 12)
  try {
    const expired = new Promise<{ at: number; notAfter: Date; error: PurserError | undefined }>((resolve) => {
      purser.on('expired', (event) => resolve({ at: Date.now(), ...event }))
    })
    await replica.kill()
    const { at, notAfter, error } = await expired
    expect(error?.code).toBe('unreachable')
    expect(() => purser.x509).toThrow(expect.objectContaining({ code: 'expired' }) as Error)
    await expect(purser.jwt('payments')).rejects.toMatchObject({ code: 'unreachable' })
    const renewed = new Promise<void>((resolve) => {
      purser.on('renewed', () => resolve())
    })
    const reconnected = new Promise<number>((resolve) => {
      purser.on('reconnected', ({ afterMs }) => resolve(afterMs))
    })
    await replica.start()
    await renewed
    print('away past the end', { 'reported after the end, ms': at - notAfter.getTime(), 'away ms': await reconnected })
    expect(purser.x509.notAfter.getTime()).toBeGreaterThan(Date.now())
  } finally {
    purser.close()
    await cluster.stop()
  }
})
