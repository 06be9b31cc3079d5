/** Clients that send or read slowly, or not at all, lose their connection after seconds. */
import { once } from 'node:events'
import type { RequestListener, ServerResponse } from 'node:http'
import { Agent } from 'node:https'
import { type Socket, connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type Listener, listen } from '../../src/start/listeners.ts'
import { sendReply } from '../../src/http/reply.ts'
import { type ServerIdentity, timeouts } from '../../src/start/tls.ts'
import { makeIdentities } from '../outbound/tls-server.ts'
import { testDatabase } from '../support/database.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { ask, open } from '../support/raw-http.ts'

/** The server's own timeouts, shortened alike. */
const short = {
  ...timeouts,
  headersTimeout: 300,
  requestTimeout: 600,
  keepAliveTimeout: 200,
  connectionsCheckingInterval: 50,
}

describe('a listener', () => {
  let listener: Listener
  let requestCount = 0
  const app: RequestListener = (request, response) => {
    requestCount++
    request.on('end', () => response.end('all of it')).on('error', () => undefined)
    request.resume()
  }
  beforeAll(async () => {
    listener = await listen(app, { host: '127.0.0.1', port: 0 }, undefined, { waits: short })
  })
  afterAll(() => listener.drain(0))

  const drip = (write: (text: string) => void, text: string): (() => void) => {
    let at = 0
    const timer = setInterval(() => write(text[at++ % text.length] ?? ''), 20)
    return () => clearInterval(timer)
  }

  it('waits for headers no longer than its timeout, however steadily they arrive', async () => {
    const before = requestCount
    const { socket, text, closed } = await open(listener.url)
    socket.write('GET / HTTP/1.1\r\nX-Slow: ')
    const stop = drip((byte) => socket.write(byte), 'a')
    await closed
    stop()
    expect(text()).toMatch(/^HTTP\/1\.1 408 /)
    expect(requestCount).toBe(before)
  })

  it('waits for a body no longer than its timeout', async () => {
    const { socket, text, closed } = await open(listener.url)
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n')
    const stop = drip((byte) => socket.write(byte), 'a')
    await closed
    stop()
    expect(text()).not.toContain('all of it')
  })

  it('closes connections that send nothing, or stop sending', async () => {
    const silent = await open(listener.url)
    const idleClient = await open(listener.url)
    idleClient.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await Promise.all([silent.closed, idleClient.closed])
    expect(idleClient.text()).toContain('all of it')
  })
})

describe.each(['plain', 'TLS'] as const)('a reply that is not read (%s)', (kind) => {
  function ownIdentity(): ServerIdentity {
    const { good, ca } = makeIdentities()
    return { ...good, ca, notBefore: new Date(), notAfter: new Date() }
  }

  /** More than the buffers at both ends hold for a client that reads nothing. */
  const long = 24 * 1024 * 1024

  async function* chunks(): AsyncGenerator<string> {
    const chunk = 'x'.repeat(65_536)
    for (let sentBytes = 0; sentBytes < long; sentBytes += chunk.length) yield chunk
  }

  async function beginReply(idleTimeout: number): Promise<{ client: Socket; response: ServerResponse }> {
    const responses: ServerResponse[] = []
    const app: RequestListener = (_, response) => {
      responses.push(response)
      sendReply(response, 'req_x', { body: { stream: chunks(), type: 'text/plain' } }).catch(() => response.destroy())
    }
    const identity = kind === 'TLS' ? ownIdentity() : undefined
    const listener = await listen(app, { host: '127.0.0.1', port: 0 }, identity, {
      waits: { ...timeouts, idleTimeout },
    })
    onTestFinished(() => listener.drain(0))
    const at = { port: Number(new URL(listener.url).port), host: '127.0.0.1' }
    const client = identity
      ? connectTls({ ...at, ca: String(identity.ca), checkServerIdentity: () => undefined })
      : connect(at)
    client.on('error', () => undefined)
    onTestFinished(() => void client.destroy())
    await once(client, identity ? 'secureConnect' : 'connect')
    client.pause()
    client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    await expect.poll(() => responses.length).toBe(1)
    return { client, response: responses[0] as ServerResponse }
  }

  it('is cut off, and its socket closed', async () => {
    const { response } = await beginReply(300)
    await once(response, 'close')
    expect(response.writableFinished).toBe(false)
  })

  it('is not cut off while it is read, however slowly', async () => {
    const warnings: Error[] = []
    const warned = (warning: Error): void => void warnings.push(warning)
    process.on('warning', warned)
    onTestFinished(() => void process.off('warning', warned))
    const { client, response } = await beginReply(1_500)
    let read = 0
    const started = performance.now()
    for await (const part of client) {
      read += part.length
      if (performance.now() - started < 4_500) await pause(part.length / 8_192)
    }
    expect(performance.now() - started).toBeGreaterThan(2 * 1_500)
    expect(read).toBeGreaterThan(long)
    expect(response.writableFinished).toBe(true)
    expect(warnings).toEqual([])
  })
})

describe('Purser', () => {
  let purser: TestPurser
  beforeAll(async () => {
    purser = await startPurser({ store: 'postgres' })
  })
  afterAll(() => purser.stop())

  it('has timeouts of seconds, not the minutes of Node', () => {
    expect(timeouts.headersTimeout).toBeLessThanOrEqual(10_000)
    expect(timeouts.requestTimeout).toBeLessThanOrEqual(30_000)
    expect(timeouts.keepAliveTimeout).toBeLessThanOrEqual(60_000)
    expect(timeouts.handshakeTimeout).toBeLessThanOrEqual(10_000)
    expect(timeouts.idleTimeout).toBeLessThanOrEqual(60_000)
    expect(timeouts.connectionsCheckingInterval).toBeLessThanOrEqual(5_000)
  })

  it('serves others beside hundreds of unfinished requests and unread replies', async () => {
    const half =
      'POST /api/v1/credentials HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{'
    const stuck = await Promise.all(
      Array.from({ length: 400 }, async (_, n) => {
        const connection = await open(purser.url)
        connection.socket.write(n % 2 === 0 ? half : 'GET /healthz HTTP/1.1\r\nHost: ')
        return connection
      }),
    )
    const deaf = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const connection = await open(purser.url)
        connection.socket.pause().write('GET /openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(20))
        return connection
      }),
    )
    stuck.push(...deaf)
    for (let n = 0; n < 20; n++) expect((await ask(purser.url, 'GET /healthz HTTP/1.1')).status).toBe(200)
    expect((await purser.asAdmin('GET', '/api/v1/workloads')).status).toBe(200)
    for (const { socket } of stuck) socket.destroy()
    await Promise.all(stuck.map(({ closed }) => closed))
    // Their disconnection is no fault of the server.
    await expect.poll(() => purser.logs.filter((line) => line.includes('"status":400')).length).toBeGreaterThan(0)
    expect(purser.logs.filter((line) => line.includes('request.failed'))).toEqual([])
  })
})

describe('connections beyond the limit', () => {
  it('are closed before the TLS handshake, and others are served', async () => {
    const purser = await startPurser({ store: 'postgres', tls: true, env: { PURSER_MAX_CONNECTIONS: '10' } })
    onTestFinished(() => purser.stop())
    expect((await purser.asAdmin('GET', '/api/v1/workloads')).status).toBe(200)
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    onTestFinished(() => agent.destroy())
    const health = () => purser.call('GET', '/healthz', undefined, { agent })
    await health()
    const filling = await Promise.all(Array.from({ length: 30 }, () => open(purser.url)))
    await Promise.any(filling.map(({ closed }) => closed))
    await expect(purser.call('GET', '/healthz')).rejects.toThrow()
    for (let n = 0; n < 10; n++) expect((await health()).status).toBe(200)
    for (const { socket } of filling) socket.destroy()
    const status = (): Promise<number> =>
      purser.call('GET', '/healthz').then(
        (answer) => answer.status,
        () => 0,
      )
    await expect.poll(status).toBe(200)
    expect(purser.logs.filter((line) => line.includes('listener.full'))).toHaveLength(1)
  })

  it('get no reply and do not affect others; operators have their own listener', async () => {
    const env = { PURSER_MAX_CONNECTIONS: '20', PURSER_ADMIN_LISTEN: '127.0.0.1:0' }
    const { url, drop } = await testDatabase()
    onTestFinished(drop)
    const rootKey = Buffer.alloc(32, 3).toString('base64')
    const purser = await startPurser({ env, existing: { url, rootKey, admin: 'none' } })
    onTestFinished(() => purser.stop())
    const clients = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const connection = await open(purser.url)
        connection.socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
        await expect.poll(connection.text).toMatch(/^HTTP\/1\.1 200 /)
        return connection
      }),
    )
    for (let n = 0; n < 10; n++) {
      const rejected = await open(purser.url)
      rejected.socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
      await rejected.closed
      expect(rejected.text()).toBe('')
    }
    const full = purser.logs.map((line): Record<string, unknown> => JSON.parse(line))
    expect(full.filter((line) => line['event'] === 'listener.full')).toMatchObject([{ level: 'warn', count: 20 }])
    expect((await ask(purser.adminUrl ?? '', 'GET /healthz HTTP/1.1')).status).toBe(200)
    const [first] = clients
    first?.socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
    await expect.poll(() => first?.text().match(/HTTP\/1\.1 200 /g)).toHaveLength(2)
    for (const { socket } of clients) socket.destroy()
    await expect
      .poll(() =>
        ask(purser.url, 'GET /healthz HTTP/1.1').then(
          (answer) => answer.status,
          () => 0,
        ),
      )
      .toBe(200)
  })
})
