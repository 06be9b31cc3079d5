/** SIGTERM: every request that a client sent before it could know gets an answer. */
import type { RequestListener, ServerResponse } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { type Listener, listen } from '../../src/start/listeners.ts'
import { open } from '../support/raw-http.ts'

describe('a listener that is draining', () => {
  const waiting: ServerResponse[] = []
  let listener: Listener | undefined
  const app: RequestListener = (request, response) => {
    if (request.url === '/slow') waiting.push(response)
    else response.end('answered')
  }
  const start = async (): Promise<Listener> => (listener = await listen(app, { host: '127.0.0.1', port: 0 }, undefined))
  afterEach(() => listener?.drain(0))
  const request = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await new Promise((resolve) => setImmediate(resolve))
  }

  it('answers a request that has begun, and then closes its connection', async () => {
    const { url, ...leaving } = await start()
    const slow = await open(url)
    slow.socket.write(request('/slow'))
    await until(() => waiting.length > 0)
    const drained = leaving.drain(5)
    waiting.pop()?.end('at last')
    await slow.closed
    await drained
    expect(slow.text()).toMatch(/^HTTP\/1\.1 200 [^]*connection: close[^]*at last$/i)
  })

  it('answers requests on open and new connections until clients can know', async () => {
    const { url, ...leaving } = await start()
    const idleClient = await open(url)
    idleClient.socket.write(request('/'))
    await until(() => idleClient.text().endsWith('answered'))
    expect(idleClient.text()).toMatch(/connection: keep-alive/i)
    const drained = leaving.drain(5)
    const fresh = await open(url)
    for (const { socket } of [idleClient, fresh]) socket.write(request('/'))
    await Promise.all([idleClient.closed, fresh.closed])
    await drained
    for (const { text } of [idleClient, fresh]) expect(text()).toMatch(/connection: close[^]*answered$/i)
    await expect(open(url)).rejects.toThrow('ECONNREFUSED')
  })

  it('closes idle connections, and at the deadline all others', async () => {
    const { url, ...leaving } = await start()
    const idle = await open(url)
    const slow = await open(url)
    slow.socket.write(request('/slow'))
    await until(() => waiting.length > 0)
    await leaving.drain(1)
    await Promise.all([idle.closed, slow.closed])
    expect([idle.text(), slow.text()]).toEqual(['', ''])
  })
})
