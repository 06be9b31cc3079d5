/** purser.tls.socketServer: protocols other than HTTP, with openssl as their client. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { type TLSSocket, connect as connectTls } from 'node:tls'
import { peerOf } from '@purser/sdk'
import { expect, onTestFinished, test, vi } from 'vitest'
import { scratch } from '../support/openssl.ts'
import { listen } from './exchange.ts'
import { type Workload, createCa, createWorkload, idOf, issue } from './workloads.ts'

const ca = createCa()
const stranger = createCa()
const web = issue(ca)

/** Sends the peer's ID. */
async function serve(settings: { now?: () => number } = {}) {
  const workload = createWorkload(issue(ca, idOf('server')), settings)
  const onPeer = vi.fn<(spiffeId: string) => void>()
  const server = workload.tls.socketServer({ accept: idOf('web') }, (socket) => {
    const { spiffeId } = peerOf(socket)
    onPeer(spiffeId)
    socket.on('error', () => undefined).write(`${spiffeId}\n`)
  })
  return { port: await listen(server), onPeer, workload, server }
}

async function connected(port: number, identity = web): Promise<TLSSocket> {
  const { certificateChain: cert, privateKey: key } = identity
  const socket = connectTls({ host: '127.0.0.1', port, cert, key, rejectUnauthorized: false })
  onTestFinished(() => void socket.destroy())
  const refused = once(socket, 'close').then(() => Promise.reject(new Error('it was cut')))
  refused.catch(() => undefined)
  await Promise.race([once(socket, 'data'), refused])
  return socket
}

test('a client that is not accepted is refused, and nothing is read from it', async () => {
  const { port, onPeer } = await serve()
  for (const identity of [issue(ca, idOf('db')), issue(stranger)])
    await expect(connected(port, identity)).rejects.toThrow(/./)
  expect(onPeer).not.toHaveBeenCalled()
  await connected(port)
  expect(onPeer).toHaveBeenCalledExactlyOnceWith(idOf('web'))
})

test.each([
  ['revoked', ({ revoke }: Workload) => revoke(web.serialNumber)],
  [
    'under a root that left',
    (workload: Workload) => workload.become({ ...workload.x509, trustBundle: stranger.root.pem }),
  ],
  ['of a client that is closed', ({ close }: Workload) => close()],
])('an open connection ends once its peer is %s', async (_, happen) => {
  const { port, workload } = await serve()
  const socket = await connected(port)
  const closed = once(socket, 'close')
  happen(workload)
  await closed
})

test('an open connection outlives its certificates; the next one is refused', async () => {
  let clock = Date.now()
  const { port, workload, server } = await serve({ now: () => clock })
  const socket = await connected(port)
  clock += 7_200_000
  workload.become(issue(ca, idOf('server')))
  await expect(connected(port)).rejects.toThrow(/./)
  expect(socket.closed).toBe(false)
  const count = await new Promise((resolve) => server.getConnections((_, open) => resolve(open)))
  expect(count).toBe(1)
})

/** In another process, because this one has the server. */
const sClient = (args: string[], input: string): Promise<string> =>
  new Promise((resolve) => {
    const child = execFile('openssl', ['s_client', ...args], (_, stdout, stderr) => resolve(stdout + stderr))
    child.stdin?.end(input)
  })

test('openssl: verified on both sides, in TLS 1.3, never resumed', async () => {
  const { workload } = await serve()
  const https = workload.tls.server({ accept: idOf('web') }, (request, response) =>
    response.end(peerOf(request).spiffeId),
  )
  const file = scratch()
  const verified = [
    '-verify_return_error',
    '-CAfile',
    file('root', ca.root.pem),
    '-connect',
    `127.0.0.1:${await listen(https)}`,
  ]
  const asWeb = [
    '-cert',
    file('web', web.certificateChain),
    '-cert_chain',
    file('web'),
    '-key',
    file('key', web.privateKey),
  ]
  const ask = 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'

  const session = file('session')
  const first = await sClient([...verified, ...asWeb, '-ign_eof', '-sess_out', session], ask)
  expect(first).toContain('Verify return code: 0 (ok)')
  expect(first).toMatch(/New, TLSv1\.3[^]*HTTP\/1\.1 200 OK[^]*spiffe:\/\/example\.org\/lab\/web/)
  const second = await sClient([...verified, ...asWeb, '-ign_eof', '-sess_in', session], ask)
  expect(second).toContain('New, TLSv1.3')
  expect(second).not.toContain('Reused')

  expect(await sClient([...verified, '-ign_eof'], ask)).toMatch(/certificate required/)
  expect(await sClient([...verified, ...asWeb, '-tls1_2'], ask)).toMatch(/protocol version/)
})
