/** The HTTP getter of all sources: what it requests, and which answers it accepts. */
import type { RequestListener } from 'node:http'
import { type Server, type Socket, createServer } from 'node:net'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { PurserError } from '@purser/sdk'
import { createGet } from '../../sdk/src/proof/get.ts'
import { httpServer, httpsServer } from '../outbound/tls-server.ts'
import { failing } from './failing.ts'
import { identities } from './machine.ts'

const get = createGet({ ca: identities.ca })
const never = new AbortController().signal
const ask = (url: string, signal = never) => get({ who: 'the stand-in', url: new URL(url), signal })

/** Accepts connections and calls `onConnection` for each; `closed` settles when the first one ends. */
async function rawServer(onConnection: (socket: Socket) => void): Promise<{ port: number; closed: Promise<void> }> {
  const sockets: Socket[] = []
  let onEnd = (): void => undefined
  const closed = new Promise<void>((resolve) => (onEnd = resolve))
  const server: Server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    socket.on('close', onEnd)
    socket.resume()
    onConnection(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  return { port: typeof address === 'object' && address ? address.port : 0, closed }
}

describe('plain http', () => {
  test.each([
    'http://example.org/',
    'http://10.0.0.1/',
    'http://localhost:1/',
    'http://169.254.169.253/',
    'http://169.254.1.1/',
    'http://[::ffff:169.254.169.254]/',
    'http://[fd00:ec2::255]/',
    'http://169.254.169.254.nip.io/',
    'http://metadata.google.internal.evil.example/',
    'http://metadata.google.internal@evil.example/',
    'http://0.0.0.0/',
    'ftp://127.0.0.1/',
  ])('is not sent to %s', async (url) => {
    const error = await failing(ask(url, AbortSignal.abort(new PurserError('aborted', 'it was let through'))))
    expect(error).toMatchObject({ code: 'no_proof', message: expect.stringContaining('needs https') })
  })

  // An aborted signal shows that the address is allowed, without a packet to it.
  test.each([
    'http://169.254.169.254/',
    'http://169.254.170.2/',
    'http://169.254.170.23/',
    'http://[fd00:ec2::254]/',
    'http://[fd00:ec2::23]/',
    'http://metadata.google.internal/',
    'http://127.0.0.1:1/',
    'http://[::1]:1/',
    'https://example.org/',
  ])('%s is allowed', async (url) => {
    const error = await failing(ask(url, AbortSignal.abort(new PurserError('aborted', 'it was let through'))))
    expect(error.message).toBe('it was let through')
  })

  test('is not sent with a password in the URL', async () => {
    expect((await failing(ask('http://user:word@127.0.0.1:1/'))).message).not.toContain('word@')
  })
})

describe('a rejected answer', () => {
  test.each([301, 302, 307, 308])('a redirect (%i) is not followed', async (status) => {
    const other = await httpServer((_, response) => response.end('a token'))
    const first = await httpServer((_, response) =>
      response.writeHead(status, { location: `http://127.0.0.1:${other.port}/` }).end(),
    )
    expect((await failing(ask(`http://127.0.0.1:${first.port}/`))).message).toContain(`answered ${status}`)
    expect(first.requests).toHaveLength(1)
    expect(other.requests).toEqual([])
  })

  test('of more than 64 KiB, however long it is', async () => {
    const { port } = await httpServer((_, response) => {
      const more = (): void =>
        void (response.write('x'.repeat(20_000)) ? setImmediate(more) : response.once('drain', more))
      more()
    })
    expect((await failing(ask(`http://127.0.0.1:${port}/`))).message).toContain('64 KiB')
  })

  test('64 KiB are accepted', async () => {
    const { port } = await httpServer((_, response) => response.end('x'.repeat(65_536)))
    expect((await ask(`http://127.0.0.1:${port}/`)).text).toHaveLength(65_536)
  })

  test('with a header of more than 16 KiB', async () => {
    const { port } = await httpServer((_, response) => response.setHeader('x-long', 'x'.repeat(17_000)).end())
    expect((await failing(ask(`http://127.0.0.1:${port}/`))).message).toContain('HPE_HEADER_OVERFLOW')
  })

  test('compressed, without Accept-Encoding', async () => {
    const { port } = await httpServer((_, response) => response.setHeader('content-encoding', 'gzip').end('x'))
    expect((await failing(ask(`http://127.0.0.1:${port}/`))).message).toContain('compressed')
  })

  test.each([
    ['no HTTP', 'hello\r\n\r\n'],
    ['half a body', 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf'],
    ['half a header', 'HTTP/1.1 200 OK\r\ncontent-le'],
    ['an upgrade', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'],
    ['nothing', ''],
  ])('%s', async (_, bytes) => {
    const { port } = await rawServer((socket) => socket.end(bytes))
    expect((await failing(ask(`http://127.0.0.1:${port}/`))).code).toBe('no_proof')
  })

  test('from a closed port', async () => {
    expect((await failing(ask('http://127.0.0.1:1/'))).message).toMatch(/the stand-in \(127\.0\.0\.1:1\).*ECONNREFUSED/)
  })
})

describe('a missing answer', () => {
  test.each([
    ['no byte', ''],
    ['no body', 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n'],
  ])('%s: the abort signal ends the request and the connection', async (_, bytes) => {
    const controller = new AbortController()
    const reason = new PurserError('timeout', 'too late')
    const { port, closed } = await rawServer((socket) => {
      socket.write(bytes)
      setImmediate(() => controller.abort(reason))
    })
    expect(await failing(ask(`http://127.0.0.1:${port}/`, controller.signal))).toBe(reason)
    await closed
  })

  /** The test lets the deadline of the connection pass. */
  const stopClock = (): void => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
  }

  test('no TLS handshake: the request ends before the signal', async () => {
    stopClock()
    const { port, closed } = await rawServer(() => void vi.advanceTimersByTime(3000))
    expect((await failing(ask(`https://127.0.0.1:${port}/`))).message).toContain('no connection within 3 s')
    await closed
  })

  test('a slow answer on an open connection: the deadline of the connection does not apply', async () => {
    stopClock()
    const answer: RequestListener = (_, response) => {
      vi.advanceTimersByTime(60_000)
      response.end('slow')
    }
    const [server, two] = [await httpServer(answer), await httpsServer(identities.good, answer)]
    expect((await ask(`http://127.0.0.1:${server.port}/`)).text).toBe('slow')
    expect((await ask(`https://127.0.0.1:${two.port}/`)).text).toBe('slow')
  })
})

describe('over https', () => {
  test.each(['otherCa', 'otherName', 'expired'] as const)('%s: nothing is sent', async (identity) => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
    onTestFinished(() => void vi.unstubAllEnvs())
    const { port, requests } = await httpsServer(identities[identity], (_, response) => response.end('a token'))
    expect((await failing(ask(`https://127.0.0.1:${port}/`))).code).toBe('no_proof')
    expect(requests).toEqual([])
  })

  test('verified: method, headers and body arrive', async () => {
    const { port, requests } = await httpsServer(identities.good, (_, response) => response.end('done'))
    const url = new URL(`https://127.0.0.1:${port}/path?q=1`)
    const answer = await get({ who: 'it', url, method: 'POST', headers: { 'x-own': 'yes' }, body: 'é', signal: never })
    expect(answer).toMatchObject({ status: 200, text: 'done' })
    expect(requests).toMatchObject([
      { method: 'POST', url: '/path?q=1', body: 'é', headers: { 'x-own': 'yes', 'content-length': '2' } },
    ])
  })
})
