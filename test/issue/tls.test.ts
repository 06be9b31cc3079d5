import { once } from 'node:events'
import { isIP } from 'node:net'
import tls, { type TLSSocket } from 'node:tls'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createCsr } from '../../sdk/src/certificates/csr.ts'
import { readCsr } from '../../src/issue/csr.ts'
import { createX509Issuer } from '../../src/issue/x509-svid.ts'
import { ipAddressBytes } from '../../src/issue/ip-address.ts'
import { ecPair, newSerial, secondsFrom, testCa } from '../support/test-ca.ts'

const now = new Date()
const ca = testCa(now)
const issuer = createX509Issuer({ trustDomain: 'example.org', issuer: ca.issuing, count: () => 0 })

/** A key with its certificate, as Node's TLS expects them. */
function leaf(kind: 'server' | 'svid', names: string[] = [], end = 600) {
  const { privateKey } = ecPair()
  const parts = { key: readCsr(createCsr(privateKey)), serial: newSerial(), now, notAfter: secondsFrom(now, end) }
  const issued =
    kind === 'server'
      ? issuer.issueServerCertificate({ ...parts, names })
      : issuer.issueSvid({ ...parts, spiffeId: 'spiffe://example.org/web', dnsNames: names })
  return { key: privateKey.export({ type: 'pkcs8', format: 'pem' }), cert: issued.pem + ca.issuing.pem }
}

/** What the server received from the client, after a handshake in which both sides verified. */
async function handshake(server: ReturnType<typeof leaf>, client: ReturnType<typeof leaf>, host: string) {
  const listener = tls.createServer({ ...server, ca: ca.root.pem, requestCert: true, rejectUnauthorized: true })
  onTestFinished(() => void listener.close())
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  if (address === null || typeof address === 'string') throw new Error('not listening on TCP')
  const accepted = new Promise<TLSSocket>((resolve) => listener.once('secureConnection', resolve))
  const socket = tls.connect({
    ...client,
    ca: ca.root.pem,
    port: address.port,
    host: '127.0.0.1',
    servername: isIP(host) ? '' : host,
    checkServerIdentity: (_, certificate) => tls.checkServerIdentity(host, certificate),
  })
  await once(socket, 'secureConnect')
  const peer = await accepted
  const view = { authorized: peer.authorized, names: peer.getPeerCertificate().subjectaltname }
  socket.destroy()
  peer.destroy()
  return view
}

describe('an empty subject works in TLS', () => {
  test.each(['localhost', '127.0.0.1', '::1', '2001:db8::7'])('as the server %s', async (host) => {
    const server = leaf('server', ['localhost', '127.0.0.1', '::1', '2001:db8::7'])
    const view = await handshake(server, leaf('svid'), host)
    expect(view).toEqual({ authorized: true, names: 'URI:spiffe://example.org/web' })
  })

  test('as an SVID that serves a granted name', async () => {
    const view = await handshake(leaf('svid', ['web.prod.svc']), leaf('svid'), 'web.prod.svc')
    expect(view.authorized).toBe(true)
  })

  test('and a name that it lacks is refused', async () => {
    await expect(handshake(leaf('server', ['localhost']), leaf('svid'), 'other.test')).rejects.toThrow(/altnames/)
  })
})

test.each([
  ['1.2.3.4', '01020304'],
  ['255.255.255.255', 'ffffffff'],
  ['::', '00'.repeat(16)],
  ['::1', `${'00'.repeat(15)}01`],
  ['1::', `0001${'00'.repeat(14)}`],
  ['2001:db8::8a2e:370:7334', '20010db80000000000008a2e03707334'],
  ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
  ['::ffff:10.0.0.1', '00000000000000000000ffff0a000001'],
])('the bytes of the address %s', (address, hex) => {
  expect(ipAddressBytes(address).toString('hex')).toBe(hex)
})

test.each(['', 'localhost', '1.2.3', '1.2.3.4.5', '256.1.1.1', ':::', '1::2::3', 'fe80::1%eth0'])(
  '%j is not an address',
  (text) => {
    expect(() => ipAddressBytes(text)).toThrow(TypeError)
  },
)
