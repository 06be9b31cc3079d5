/** purser.tls.client, connect and agent: the peers that a client accepts, and what it presents. */
import { once } from 'node:events'
import { Agent, createServer as createHttps, request } from 'node:https'
import type { Socket } from 'node:net'
import { type ConnectionOptions, type TLSSocket, type TlsOptions, connect as connectTls, createServer } from 'node:tls'
import { type Accept, peerOf } from '@purser/sdk'
import { createDispatcher } from '@purser/sdk/undici'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { keyUsage } from '../../src/keys/extensions.ts'
import { secondsFrom } from '../support/test-ca.ts'
import { failing } from './failing.ts'
import { get, listen } from './exchange.ts'
import { type Workload, createCa, createWorkload, idOf, issue } from './workloads.ts'
import type { X509 } from '../../sdk/src/types/purser.ts'

const ca = createCa()
const stranger = createCa()
const now = new Date()

/** A server of Node's own with this certificate; `onRequest` records what it receives. */
async function serve({ certificateChain, privateKey }: X509, more: TlsOptions = {}) {
  const onRequest = vi.fn()
  const server = createHttps({ cert: certificateChain, key: privateKey, ...more }, (request, response) => {
    onRequest(request.url)
    response.end('hello')
  })
  return { port: await listen(server), onRequest, server }
}

const usual = (more = {}): Workload => createWorkload(issue(ca), more)

/** Each way in which a client can send a request. */
const ways: [string, (client: Workload, accept: Accept, port: number) => Promise<unknown>][] = [
  ['client()', ({ tls }, accept, port) => get({ port, agent: false, ...tls.client({ accept }) })],
  [
    'connect()',
    async ({ tls }, accept, port) => {
      const socket = tls.connect({ accept, host: '127.0.0.1', port })
      onTestFinished(() => void socket.destroy())
      await once(socket, 'secureConnect')
      socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
      await once(socket, 'data')
    },
  ],
  [
    'agent()',
    ({ tls }, accept, port) => {
      const agent = tls.agent({ accept })
      onTestFinished(() => agent.destroy())
      return get({ port, agent })
    },
  ],
  [
    'agent(), with verification switched off',
    ({ tls }, accept, port) => {
      const agent = tls.agent({ accept })
      onTestFinished(() => agent.destroy())
      const trustAll = { rejectUnauthorized: false, checkServerIdentity: () => undefined, ca: stranger.root.pem }
      return get({ port, agent, ...trustAll, maxVersion: 'TLSv1.2' })
    },
  ],
  [
    'an undici dispatcher',
    (client, accept, port) => {
      const dispatcher = createDispatcher(client, { accept })
      onTestFinished(() => dispatcher.destroy())
      return dispatcher.request({ origin: `https://127.0.0.1:${port}`, path: '/', method: 'GET' })
    },
  ],
]

describe.each(ways)('%s', (_, go) => {
  // Node warns of this at the first connection.
  beforeEach(() => void (process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'))
  afterEach(() => void delete process.env.NODE_TLS_REJECT_UNAUTHORIZED)

  test('talks to the accepted peer, whatever host name was used', async () => {
    const { port, onRequest } = await serve(issue(ca, idOf('server'), { dnsNames: ['elsewhere.test'] }))
    await go(usual(), idOf('server'), port)
    expect(onRequest).toHaveBeenCalledOnce()
  })

  test.each([
    ['another workload', 'bad_peer', issue(ca, idOf('db'))],
    [
      'another workload that holds the name which was called',
      'bad_peer',
      issue(ca, idOf('db'), { dnsNames: ['127.0.0.1', 'localhost'] }),
    ],
    ['a host name in place of an ID', 'bad_peer', issue(ca, '', { uris: [], dnsNames: ['localhost'] })],
    ['two IDs', 'bad_peer', issue(ca, '', { uris: [idOf('server'), idOf('db')] })],
    ['an ID of another trust domain', 'bad_peer', issue(ca, 'spiffe://other.example/lab/server')],
    ['an authority', 'bad_peer', issue(ca, idOf('server'), { isCa: true })],
    [
      'one that may sign CRLs',
      'bad_peer',
      issue(ca, idOf('server'), { usage: keyUsage('digitalSignature', 'cRLSign') }),
    ],
    ['another root', /CERT|SELF_SIGNED|ISSUER/, issue(stranger, idOf('server'))],
    [
      'an end in the past',
      'CERT_HAS_EXPIRED',
      issue(ca, idOf('server'), { notBefore: secondsFrom(now, -60), notAfter: secondsFrom(now, -5) }),
    ],
    [
      'a beginning in the future',
      'CERT_NOT_YET_VALID',
      issue(ca, idOf('server'), { notBefore: secondsFrom(now, 600) }),
    ],
  ])('sends nothing to %s', async (_case, code, server) => {
    const { port, onRequest } = await serve(server)
    const error: unknown = await go(usual(), idOf('server'), port).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(Error)
    expect(error).toMatchObject({ code: code instanceof RegExp ? expect.stringMatching(code) : code })
    expect(onRequest).not.toHaveBeenCalled()
  })

  test('sends nothing to a peer with TLS 1.2', async () => {
    const { port, onRequest } = await serve(issue(ca, idOf('server')), { maxVersion: 'TLSv1.2' })
    await expect(go(usual(), idOf('server'), port)).rejects.toThrow(/protocol version|version/i)
    expect(onRequest).not.toHaveBeenCalled()
  })

  test('sends nothing to a revoked peer', async () => {
    const server = issue(ca, idOf('server'))
    const { port, onRequest } = await serve(server)
    const client = usual()
    client.revoked.add(server.serialNumber)
    expect((await failing(go(client, idOf('server'), port))).code).toBe('revoked')
    expect(onRequest).not.toHaveBeenCalled()
  })

  test('sends nothing once its own certificate has ended, and gives the reason', async () => {
    const { port, onRequest } = await serve(issue(ca, idOf('server')))
    const client = usual()
    await go(client, idOf('server'), port)
    onRequest.mockClear()
    client.lapse()
    await expect((async () => go(client, idOf('server'), port))()).rejects.toThrow('the certificate ended')
    expect(onRequest).not.toHaveBeenCalled()
  })

  test.each([[undefined], [''], ['https://x'], ['spiffe://other.example/*']])('refuses %j', async (accept) => {
    await expect((async () => go(usual(), accept as never, 1))()).rejects.toMatchObject({ code: 'bad_options' })
  })
})

describe('a TLS session that a Node agent cached is not offered: the peer would not be checked', () => {
  async function askTwice(agent: Agent, options: ConnectionOptions, port: number): Promise<boolean[]> {
    onTestFinished(() => agent.destroy())
    const resumptions: boolean[] = []
    for (let n = 0; n < 2; n++) {
      const { resumed, socket } = await get({ port, agent, ...options })
      if (!socket.closed) await once(socket, 'close')
      resumptions.push(resumed)
    }
    return resumptions
  }

  test('where the agent is made with these options', async () => {
    const { port } = await serve(issue(ca, idOf('server')))
    const { session, ...rest } = usual().tls.client({ accept: idOf('server') })
    // Without that option it would be offered, so this test can detect it.
    expect(await askTwice(new Agent({ keepAlive: false, ...rest }), {}, port)).toEqual([false, true])
    expect(await askTwice(new Agent({ keepAlive: false, ...rest, session }), {}, port)).toEqual([false, false])
  })

  // Newer versions of Node offer no session for requests with their own checkServerIdentity.
  test('where each request is', async () => {
    const { port } = await serve(issue(ca, idOf('server')))
    const options = usual().tls.client({ accept: idOf('server') })
    expect(await askTwice(new Agent({ keepAlive: false }), options, port)).toEqual([false, false])
  })
})

test('connections of a Node agent are not shared between callers that accept different peers', async () => {
  const { port, onRequest } = await serve(issue(ca, idOf('server')))
  const { tls } = usual()
  const agent = new Agent({ keepAlive: true })
  onTestFinished(() => agent.destroy())
  const ask = (accept: Accept) => get({ port, agent, ...tls.client({ accept }) })
  // Newer versions of Node cache none for requests with their own checkServerIdentity: this concerns the others.
  await ask(idOf('server'))
  await ask(idOf('server'))
  await expect(ask(idOf('db'))).rejects.toMatchObject({ code: 'bad_peer' })
  await expect(ask(() => false)).rejects.toMatchObject({ code: 'bad_peer' })
  expect(onRequest).toHaveBeenCalledTimes(2)
})

describe('an open connection', () => {
  test('knows its peer', async () => {
    const server = issue(ca, idOf('server'))
    const { port } = await serve(server)
    const agent = usual().tls.agent({ accept: idOf('*') })
    const { socket } = await get({ port, agent })
    expect(peerOf(socket)).toMatchObject({ spiffeId: idOf('server'), trustDomain: 'example.org' })
    expect(peerOf({ socket }).certificate.serialNumber.toLowerCase()).toBe(server.serialNumber)
    agent.destroy()
  })

  test('of another origin has no peer', async () => {
    const { port } = await serve(issue(ca, idOf('server')))
    const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false })
    await once(socket, 'secureConnect')
    expect(() => peerOf(socket)).toThrow(expect.objectContaining({ code: 'bad_peer' }))
    socket.destroy()
  })

  test('ends when its peer is revoked, with the reason; those to others stay', async () => {
    const x509 = issue(ca, idOf('server'))
    const { tls, revoke } = usual()
    const sockets: TLSSocket[] = []
    for (const server of [x509, issue(ca, idOf('server'))]) {
      const raw = createServer({ cert: server.certificateChain, key: server.privateKey }, (socket) =>
        socket.on('error', () => undefined),
      )
      const socket = tls.connect({ accept: idOf('server'), host: '127.0.0.1', port: await listen(raw) })
      await once(socket, 'secureConnect')
      sockets.push(socket)
    }
    const failed = once(sockets[0] as TLSSocket, 'error')
    revoke(x509.serialNumber)
    expect(await failed).toEqual([expect.objectContaining({ code: 'revoked' })])
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, false])
    sockets[1]?.destroy()
  })

  test.each<[string, (client: Workload, port: number, accept: () => boolean) => Promise<Socket>]>([
    [
      'connect()',
      async ({ tls }, port, accept) => {
        const socket = tls.connect({ accept, host: '127.0.0.1', port })
        await once(socket, 'secureConnect')
        return socket
      },
    ],
    [
      'agent(), upgraded',
      async ({ tls }, port, accept) => {
        const agent = tls.agent({ accept })
        onTestFinished(() => agent.destroy())
        const outgoing = request({ host: '127.0.0.1', port, agent, headers: { connection: 'upgrade', upgrade: 'x' } })
        const upgraded = once(outgoing, 'upgrade')
        outgoing.end()
        const [, socket] = (await upgraded) as [unknown, Socket]
        return socket
      },
    ],
  ])(
    'of %s ends once the root of its peer is removed or accept changes, and not with a certificate',
    async (_, open) => {
      const { port, server } = await serve(issue(ca, idOf('server')))
      server.on('upgrade', (_request, socket: Socket) => {
        socket.on('error', () => undefined).write('HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n')
      })
      let clock = Date.now()
      const client = usual({ now: () => clock })
      let accepted = true
      const sockets = [await open(client, port, () => accepted), await open(client, port, () => true)] as const
      for (const socket of sockets) socket.on('error', () => undefined)
      clock += 3_600_000
      client.become(issue(ca))
      expect(sockets.map(({ destroyed }) => destroyed)).toEqual([false, false])
      clock -= 3_600_000
      accepted = false
      client.become(issue(ca))
      expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, false])
      client.become({ ...client.x509, trustBundle: stranger.root.pem })
      expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, true])
    },
  )

  test('ends with the client, and no other opens', async () => {
    const { port } = await serve(issue(ca, idOf('server')))
    const client = usual()
    const socket = client.tls.connect({ accept: idOf('server'), host: '127.0.0.1', port })
    await once(socket, 'secureConnect')
    const agent = client.tls.agent({ accept: idOf('server') })
    await get({ port, agent })
    const closed = once(socket, 'close')
    client.close()
    await closed
    await expect(get({ port, agent })).rejects.toThrow('closed')
  })
})
