/** Certificates and roots change while workloads talk: no request fails, and no old certificate stays in use. */
import { once } from 'node:events'
import type { Server as HttpsServer } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { peerOf } from '@purser/sdk'
import { createDispatcher } from '@purser/sdk/undici'
import { describe, expect, onTestFinished, test } from 'vitest'
import { secondsFrom } from '../support/test-ca.ts'
import { get, listen } from './exchange.ts'
import { type Workload, createCa, createWorkload, idOf, issue } from './workloads.ts'

const ca = createCa()

/** Answers the peer's serial number after a moment; records the connections and their certificates. */
async function serve(workload: Workload, ms = 2) {
  const serials: string[] = []
  const open = new Set<TLSSocket>()
  const server: HttpsServer = workload.tls.server(
    { accept: idOf('*'), keepAliveTimeout: 60_000 },
    (request, response) => {
      const serial = peerOf(request).certificate.serialNumber.toLowerCase()
      setTimeout(() => response.end(serial), ms)
    },
  )
  server.on('secureConnection', (socket: TLSSocket) => {
    serials.push(peerOf(socket).certificate.serialNumber.toLowerCase())
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  return { port: await listen(server), serials, open }
}

type Ask = (port: number) => Promise<{ status: number; text: string; server: string }>

const byAgent = (client: Workload, options = {}): Ask => {
  const agent = client.tls.agent({ accept: idOf('server'), ...options })
  onTestFinished(() => agent.destroy())
  return async (port) => {
    const { status, text, socket } = await get({ port, agent })
    return { status, text, server: peerOf(socket).certificate.serialNumber.toLowerCase() }
  }
}

const byDispatcher = (client: Workload): Ask => {
  const dispatcher = createDispatcher(client, { accept: idOf('server') })
  onTestFinished(() => dispatcher.destroy())
  return async (port) => {
    const { statusCode, body } = await dispatcher.request({
      origin: `https://127.0.0.1:${port}`,
      path: '/',
      method: 'GET',
    })
    return { status: statusCode, text: await body.text(), server: '' }
  }
}

/** Node's own fetch accepts it too. */
const byFetch = (client: Workload): Ask => {
  const dispatcher = createDispatcher(client, { accept: idOf('server') })
  onTestFinished(() => dispatcher.destroy())
  return async (port) => {
    const init: RequestInit = { ...({ dispatcher } as object) }
    const response = await fetch(`https://127.0.0.1:${port}/`, init)
    return { status: response.status, text: await response.text(), server: '' }
  }
}

const pair = () => ({ server: createWorkload(issue(ca, idOf('server'))), client: createWorkload(issue(ca)) })
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe.each([
  ['an agent', byAgent],
  ['an agent of three connections', (client: Workload) => byAgent(client, { maxSockets: 3 })],
  ['a dispatcher', byDispatcher],
  ['fetch', byFetch],
])('%s', (_, by) => {
  test('30 certificates of either side, hundreds of requests: none fails, and connections are reused between', async () => {
    const { server, client } = pair()
    const { port, serials } = await serve(server)
    const ask = by(client)
    const ending = new AbortController()
    const answers: { status: number }[] = []
    const asking = Array.from({ length: 8 }, async () => {
      while (!ending.signal.aborted) answers.push(await ask(port))
    })
    for (let n = 0; n < 30; n++) {
      const before = answers.length
      while (answers.length < before + 12) await turn()
      if (n % 2 === 0) client.become(issue(ca))
      else server.become(issue(ca, idOf('server')))
    }
    ending.abort()
    await Promise.all(asking)
    expect(answers.length).toBeGreaterThan(350)
    expect(answers.filter(({ status }) => status !== 200)).toEqual([])
    // The client had 16 identities; each connection served several requests.
    expect(new Set(serials).size).toBeGreaterThanOrEqual(15)
    expect(serials.length).toBeLessThan(answers.length / 2)
  })

  test('the first request after a renewal uses the new certificate, and idle connections are closed', async () => {
    const { server, client } = pair()
    const { port, open, serials } = await serve(server)
    const ask = by(client)
    await ask(port)
    expect(await ask(port)).toMatchObject({ status: 200, text: client.x509.serialNumber })
    const closed = [...open].map((idle) => once(idle, 'close'))
    client.become(issue(ca))
    expect(await ask(port)).toMatchObject({ status: 200, text: client.x509.serialNumber })
    await Promise.all(closed)
    expect(serials.at(-1)).toBe(client.x509.serialNumber)
  })

  test('a running request completes, and its connection then closes', { timeout: 30_000 }, async () => {
    const { server, client } = pair()
    const { port, open } = await serve(server, 100)
    const ask = by(client)
    const before = client.x509.serialNumber
    const slow = ask(port)
    while (open.size === 0) await turn()
    const [busy] = open
    const closed = once(busy as TLSSocket, 'close')
    await turn()
    client.become(issue(ca))
    expect(await slow).toMatchObject({ status: 200, text: before })
    await closed
  })

  test('the bundle grows, the peer moves under the new root, the old one is removed: no request fails', async () => {
    const { server, client } = pair()
    const { port } = await serve(server)
    const ask = by(client)
    const next = createCa()
    const both = ca.root.pem + next.root.pem
    const steps = [
      () => [client, server].forEach((workload) => workload.become({ ...workload.x509, trustBundle: both })),
      () => server.become(issue(next, idOf('server'), { roots: both })),
      () => client.become(issue(next, idOf('web'), { roots: both })),
      () => [client, server].forEach((workload) => workload.become({ ...workload.x509, trustBundle: next.root.pem })),
    ]
    for (const step of steps) {
      await ask(port)
      step()
      expect(await ask(port)).toMatchObject({ status: 200, text: client.x509.serialNumber })
    }
  })

  test('a peer under a removed root is refused', async () => {
    const { server, client } = pair()
    const { port } = await serve(server)
    const ask = by(client)
    expect(await ask(port)).toMatchObject({ status: 200 })
    client.become({ ...client.x509, trustBundle: createCa().root.pem })
    await expect(ask(port)).rejects.toThrow(/certificate|fetch failed/)
  })
})

test('a server presents its new certificate to new connections at once, also without SNI, and keeps the earlier ones', async () => {
  const { server, client } = pair()
  const { port } = await serve(server)
  const request = byAgent(client)
  const before = await request(port)
  server.become(issue(ca, idOf('server')))
  expect((await byAgent(client)(port)).server).toBe(server.x509.serialNumber)
  expect((await request(port)).server).toBe(before.server)
})

test('a server whose bundle lost the root of a client refuses its next connection', async () => {
  const { server, client } = pair()
  const { port } = await serve(server)
  server.become({ ...server.x509, trustBundle: createCa().root.pem })
  await expect(byAgent(client)(port)).rejects.toThrow(expect.anything())
})

test.each([
  ['an agent', byAgent],
  ['a dispatcher', byDispatcher],
])('%s reconnects to a peer whose certificate ended while idle', async (_, by) => {
  const server = createWorkload(issue(ca, idOf('server'), { notAfter: secondsFrom(new Date(), 5) }))
  const { port, open, serials } = await serve(server)
  const ask = by(createWorkload(issue(ca)))
  await ask(port)
  const [idle] = open
  server.become(issue(ca, idOf('server')))
  await once(idle as TLSSocket, 'close')
  await ask(port)
  expect(serials).toHaveLength(2)
})
