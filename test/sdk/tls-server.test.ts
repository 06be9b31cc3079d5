/** purser.tls.server: the accepted clients, and what happens to the others. */
import { once } from 'node:events'
import { Agent, type RequestOptions } from 'node:https'
import { type Socket, connect as connectPlain } from 'node:net'
import { type ConnectionOptions, type TLSSocket, connect as connectTls, createServer } from 'node:tls'
import { type Accept, peerOf } from '@purser/sdk'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { keyUsage } from '../../src/keys/extensions.ts'
import { secondsFrom } from '../support/test-ca.ts'
import { careless, get, listen } from './exchange.ts'
import { type Workload, createCa, createWorkload, idOf, issue } from './workloads.ts'

const ca = createCa()
const stranger = createCa()
const foreign = createCa('other.example')
const web = issue(ca)
const now = new Date()

/**
 * Answers with the peer's ID. It listens for every event that could carry a request, in every way that a program may.
 */
async function serve(workload: Workload, accept: Accept = idOf('web')) {
  const onEvent = vi.fn<(event: string) => void>()
  const server = workload.tls.server({ accept }, (request, response) => {
    onEvent('handler')
    response.end(peerOf(request).spiffeId)
  })
  for (const event of ['secureConnection', 'request', 'checkContinue', 'upgrade', 'connect'])
    server.on(event, () => onEvent(event))
  return { port: await listen(server), onEvent, server }
}

const usual = () => createWorkload(issue(ca, idOf('server')))
const failure = (options: RequestOptions): Promise<unknown> =>
  get(options).then(
    ({ status, text }) => ({ status, text }),
    (error: unknown) => error,
  )

describe('accepts', () => {
  test.each([
    ['by address, without SNI', {}],
    ['with any SNI', { servername: 'whatever.test' }],
    ['with the SNI of another', { servername: 'bank.example.com' }],
  ])('a workload that is accepted, %s', async (_, options) => {
    const { port } = await serve(usual())
    expect(await get({ port, ...careless(web), ...options })).toMatchObject({ status: 200, text: idOf('web') })
  })

  test('and passes its identity to the handler: peerOf', async () => {
    const identities: unknown[] = []
    const server = usual().tls.server({ accept: idOf('*') }, (request, response) => {
      const peer = peerOf(request)
      identities.push(
        peer.spiffeId,
        peer.trustDomain,
        peer.certificate.serialNumber.toLowerCase(),
        peerOf(request.socket) === peer,
      )
      response.end()
    })
    await get({ port: await listen(server), ...careless(web) })
    expect(identities).toEqual([idOf('web'), 'example.org', web.serialNumber, true])
  })
})

describe('is cut off before any handler runs', () => {
  test.each([
    ['nobody', { rejectUnauthorized: false, agent: false }],
    ['one under another root', careless(issue(stranger))],
    ['one of another trust domain', careless(issue(foreign, 'spiffe://other.example/lab/web'))],
    ['one of another trust domain, by our CA', careless(issue(ca, 'spiffe://other.example/lab/web'))],
    [
      'one whose certificate ended',
      careless(issue(ca, idOf('web'), { notAfter: secondsFrom(now, -5), notBefore: secondsFrom(now, -60) })),
    ],
    ['one whose certificate is yet to begin', careless(issue(ca, idOf('web'), { notBefore: secondsFrom(now, 600) }))],
    ['one with two SPIFFE IDs', careless(issue(ca, '', { uris: [idOf('web'), idOf('db')] }))],
    ['one with another URI beside its ID', careless(issue(ca, '', { uris: [idOf('web'), 'https://example.org/'] }))],
    ['one with a name alone', careless(issue(ca, '', { uris: [], dnsNames: ['web.lab'] }))],
    [
      'one with a name that reads as an ID',
      careless(issue(ca, '', { uris: [], dnsNames: [`a, URI:${idOf('web')}, DNS:b`] })),
    ],
    ['the trust domain itself', careless(issue(ca, 'spiffe://example.org'))],
    ['a certificate authority', careless(issue(ca, idOf('web'), { isCa: true }))],
    [
      'one that may sign certificates',
      careless(issue(ca, idOf('web'), { usage: keyUsage('digitalSignature', 'keyCertSign') })),
    ],
    ['a workload that is not accepted', careless(issue(ca, idOf('db')))],
    ['one whose name begins alike', careless(issue(ca, idOf('web2')))],
    ['a client of TLS 1.2', { ...careless(web), maxVersion: 'TLSv1.2' } as const],
  ])('%s', async (_, client) => {
    const { port, onEvent } = await serve(usual())
    expect(await failure({ port, ...client })).toBeInstanceOf(Error)
    // The server still serves, and its handler did not run.
    expect(onEvent).not.toHaveBeenCalled()
    expect(await get({ port, ...careless(web) })).toMatchObject({ status: 200 })
  })

  test('a revoked workload', async () => {
    const workload = usual()
    const { port, onEvent } = await serve(workload)
    workload.revoked.add(web.serialNumber)
    expect(await failure({ port, ...careless(web) })).toBeInstanceOf(Error)
    expect(onEvent).not.toHaveBeenCalled()
  })

  test('every workload when accept throws', async () => {
    const workload = usual()
    const { port, onEvent } = await serve(workload, () => expect.fail('oops'))
    expect(await failure({ port, ...careless(web) })).toBeInstanceOf(Error)
    expect(onEvent).not.toHaveBeenCalled()
    expect(workload.warnings).toEqual([expect.stringContaining('oops')])
  })

  test('a client without TLS', async () => {
    const { port, onEvent } = await serve(usual())
    const socket = connectPlain(port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
    await once(socket, 'close')
    expect(onEvent).not.toHaveBeenCalled()
  })
})

describe('on an open connection, the next request gets 401', () => {
  const keeping = (): Agent => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    onTestFinished(() => agent.destroy())
    return agent
  }

  let clock = Date.now()
  let accepted = true
  test.each([
    ['the certificate ended', 'expired', () => (clock += 3_600_000)],
    ['it was revoked', 'revoked', ({ revoked }: Workload) => revoked.add(web.serialNumber)],
    ['accept changed its mind', 'bad_peer', () => (accepted = false)],
    [
      'its root left the bundle',
      'bad_peer',
      (workload: Workload) => workload.become({ ...issue(stranger, idOf('server')), trustBundle: stranger.root.pem }),
    ],
  ])('once %s', async (_, code, happen) => {
    clock = Date.now()
    accepted = true
    const workload = createWorkload(issue(ca, idOf('server')), { now: () => clock })
    const { port, onEvent, server } = await serve(workload, () => accepted)
    server.on('connection', () => onEvent('connection'))
    const client = { ...careless(web), agent: keeping(), port }
    const { socket } = await get(client)
    expect(await get(client)).toMatchObject({ status: 200, socket })
    const ending = once(socket, 'close')
    onEvent.mockClear()
    happen(workload)
    const refused = await get(client)
    expect(refused).toMatchObject({ status: 401, socket })
    expect(refused.headers).toMatchObject({ 'content-type': 'application/problem+json', connection: 'close' })
    expect(JSON.parse(refused.text)).toMatchObject({ type: `urn:purser:problem:${code}`, status: 401, code })
    expect(onEvent).not.toHaveBeenCalled()
    await ending
  })

  test.each(['Upgrade', 'CONNECT', 'Expect'])('also an %s', async (kind) => {
    const workload = createWorkload(issue(ca, idOf('server')), { now: () => clock })
    clock = Date.now()
    const { port, onEvent } = await serve(workload)
    const socket = connectTls({ host: '127.0.0.1', port, ...careless(web), agent: undefined } as ConnectionOptions)
    await once(socket, 'secureConnect')
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
    await once(socket, 'data')
    onEvent.mockClear()
    clock += 3_600_000
    const lines = { Upgrade: 'connection: upgrade\r\nupgrade: x\r\n', CONNECT: '', Expect: 'expect: 100-continue\r\n' }[
      kind
    ]
    socket.write(`${kind === 'CONNECT' ? 'CONNECT x:1' : 'POST /'} HTTP/1.1\r\nhost: x\r\n${lines ?? ''}\r\n`)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    expect(answer.toString()).toMatch(/^HTTP\/1.1 401 [^]*"code":"expired"/)
    await once(socket, 'close')
    expect(onEvent).not.toHaveBeenCalled()
  })
})

test('open connections of a peer end when it is revoked, also during an answer; those of others stay', async () => {
  const workload = usual()
  const server = workload.tls.server({ accept: idOf('*') }, (_, response) => void response.write('begun'))
  const port = await listen(server)
  const sockets = [web, issue(ca, idOf('db'))].map((identity) =>
    connectTls({ host: '127.0.0.1', port, ...careless(identity), agent: undefined } as ConnectionOptions),
  )
  for (const socket of sockets) {
    socket.on('error', () => undefined)
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
    await once(socket, 'data')
  }
  const closed = once(sockets[0] as TLSSocket, 'close')
  workload.revoke(web.serialNumber)
  await closed
  expect(sockets.map(({ closed: is }) => is)).toEqual([true, false])
  sockets[1]?.destroy()
})

describe.each([
  ['upgraded', 'upgrade', 'GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'],
  ['a tunnel', 'connect', 'CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n'],
])('a connection that was opened %s, over which no more requests are checked,', (_, event, request) => {
  async function open(settings: { now?: () => number } = {}) {
    const workload = createWorkload(issue(ca, idOf('server')), settings)
    const state = { accepted: true }
    const server = workload.tls.server({ accept: () => state.accepted })
    server.on(event, (_request: unknown, socket: Socket) => {
      socket.on('error', () => undefined).on('data', (data) => socket.write(data))
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
    })
    const port = await listen(server)
    const socket = connectTls({ host: '127.0.0.1', port, ...careless(web), agent: undefined } as ConnectionOptions)
    socket.on('error', () => undefined)
    onTestFinished(() => void socket.destroy())
    await once(socket, 'secureConnect')
    socket.write(request)
    await once(socket, 'data')
    return { workload, state, socket }
  }

  test.each<[string, (workload: Workload, state: { accepted: boolean }) => void]>([
    ['its peer is revoked', ({ revoke }) => revoke(web.serialNumber)],
    ['the root of its peer left', (workload) => workload.become({ ...workload.x509, trustBundle: stranger.root.pem })],
    [
      'accept changed, and the identity is updated',
      (workload, state) => {
        state.accepted = false
        workload.become(issue(ca, idOf('server')))
      },
    ],
  ])('ends once %s', async (_why, happen) => {
    const { workload, state, socket } = await open()
    const closed = once(socket, 'close')
    happen(workload, state)
    await closed
  })

  test('outlives the certificate of its peer, like a socket of tls.socketServer', async () => {
    let clock = Date.now()
    const { workload, socket } = await open({ now: () => clock })
    clock += 3_600_000
    workload.become(issue(ca, idOf('server')))
    socket.write('still there')
    expect(String((await once(socket, 'data'))[0])).toBe('still there')
  })
})

describe('resumption', () => {
  /** The session that a server offers for resumption, and whether it accepts it. */
  async function resume(port: number, between: () => void = () => undefined): Promise<boolean> {
    const options = { host: '127.0.0.1', port, ...careless(web), agent: undefined } as ConnectionOptions
    const first = connectTls(options)
    // Our server also sends a ticket, for a session that it does not store.
    const [session] = (await once(first, 'session')) as [Buffer]
    first.destroy()
    between()
    const second = connectTls({ ...options, session })
    second.on('error', () => undefined)
    await once(second, 'secureConnect')
    const reused = second.isSessionReused()
    second.destroy()
    return reused
  }

  test('works with a plain Node server, which shows that this test can detect it', async () => {
    const server = createServer(
      { cert: web.certificateChain, key: web.privateKey, ca: ca.root.pem, requestCert: true },
      (socket) => socket.on('error', () => undefined).write('hello'),
    )
    expect(await resume(await listen(server))).toBe(true)
  })

  test('works with none of our servers', async () => {
    const { port } = await serve(usual())
    expect(await resume(port)).toBe(false)
  })

  test.each([
    ['a new certificate', () => issue(ca, idOf('server'))],
    ['another bundle', () => ({ ...issue(ca, idOf('server')), trustBundle: ca.root.pem + stranger.root.pem })],
  ])('nor after %s', async (_, next) => {
    const workload = usual()
    const { port } = await serve(workload)
    expect(await resume(port, () => workload.become(next()))).toBe(false)
    expect(await resume(port)).toBe(false)
  })
})

test.each([
  [{}],
  [{ accept: [], rejectUnauthorized: false }],
  [{ accept: [], SNICallback: () => undefined }],
  [{ accept: [], ca: '' }],
  [{ accept: 'spiffe://other.example/*' }],
])('options %j are refused', (options) => {
  const { tls } = usual()
  expect(() => tls.server(options as never)).toThrow(expect.objectContaining({ code: 'bad_options' }))
  expect(() => tls.socketServer(options as never)).toThrow(expect.objectContaining({ code: 'bad_options' }))
})
