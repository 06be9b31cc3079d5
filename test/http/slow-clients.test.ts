/** Clients that send slowly, or nothing (threats.md 137, stack-facts.md X18): they hold a socket, and not for long. */
import type { RequestListener } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Listener, listen } from '../../src/listeners.ts'
import { timeouts } from '../../src/tls.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { ask, open } from '../support/raw-http.ts'

/** The server's own waits, shortened alike. */
const short = {
  ...timeouts,
  headersTimeout: 300,
  requestTimeout: 600,
  keepAliveTimeout: 200,
  connectionsCheckingInterval: 50,
}

describe('a listener', () => {
  let listener: Listener
  let begun = 0
  const app: RequestListener = (request, response) => {
    begun++
    request.on('end', () => response.end('all of it')).on('error', () => undefined)
    request.resume()
  }
  beforeAll(async () => {
    listener = await listen(app, { host: '127.0.0.1', port: 0 }, undefined, short)
  })
  afterAll(() => listener.drain(0))

  const drip = (write: (text: string) => void, text: string): (() => void) => {
    let at = 0
    const timer = setInterval(() => write(text[at++ % text.length] ?? ''), 20)
    return () => clearInterval(timer)
  }

  it('waits for headers no longer than it says, however steadily they come', async () => {
    const before = begun
    const { socket, text, closed } = await open(listener.url)
    socket.write('GET / HTTP/1.1\r\nX-Slow: ')
    const stop = drip((one) => socket.write(one), 'a')
    await closed
    stop()
    expect(text()).toMatch(/^HTTP\/1\.1 408 /)
    expect(begun).toBe(before)
  })

  it('waits for a body no longer than it says', async () => {
    const { socket, text, closed } = await open(listener.url)
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n')
    const stop = drip((one) => socket.write(one), 'a')
    await closed
    stop()
    expect(text()).not.toContain('all of it')
  })

  it('ends connections that say nothing, or nothing more', async () => {
    const silent = await open(listener.url)
    const kept = await open(listener.url)
    kept.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await Promise.all([silent.closed, kept.closed])
    expect(kept.text()).toContain('all of it')
  })
})

describe('Purser', () => {
  let purser: TestPurser
  beforeAll(async () => {
    purser = await startPurser({ store: 'postgres' })
  })
  afterAll(() => purser.stop())
  afterAll(() => purser.stop())

  it('waits for seconds, not for Node’s minutes', () => {
    expect(timeouts.headersTimeout).toBeLessThanOrEqual(10_000)
    expect(timeouts.requestTimeout).toBeLessThanOrEqual(30_000)
    expect(timeouts.keepAliveTimeout).toBeLessThanOrEqual(60_000)
    expect(timeouts.handshakeTimeout).toBeLessThanOrEqual(10_000)
    expect(timeouts.connectionsCheckingInterval).toBeLessThanOrEqual(5_000)
  })

  it('answers others beside hundreds of connections in the middle of a request', async () => {
    const half =
      'POST /api/v1/credentials HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{'
    const stuck = await Promise.all(
      Array.from({ length: 400 }, async (_, n) => {
        const connection = await open(purser.url)
        connection.socket.write(n % 2 === 0 ? half : 'GET /healthz HTTP/1.1\r\nHost: ')
        return connection
      }),
    )
    for (let n = 0; n < 20; n++) expect((await ask(purser.url, 'GET /healthz HTTP/1.1')).status).toBe(200)
    expect((await purser.asAdmin('GET', '/api/v1/workloads')).status).toBe(200)
    for (const { socket } of stuck) socket.destroy()
    await Promise.all(stuck.map(({ closed }) => closed))
    // Their leaving is no fault of ours.
    await expect.poll(() => purser.logs.filter((line) => line.includes('"status":400')).length).toBeGreaterThan(0)
    expect(purser.logs.filter((line) => line.includes('request.failed'))).toEqual([])
  })
})
