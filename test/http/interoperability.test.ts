/**
 * Requirements of third-party clients: strict OIDC discovery, the usual path of a JWKS, TLS groups, and CRLs over
 * plain HTTP.
 */
import { X509Certificate } from 'node:crypto'
import { connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLab } from '../support/lab.ts'
import { opensslOutput, scratch } from '../support/openssl.ts'
import { type TestPurser, audience, startPurser } from '../support/purser.ts'
import { ask } from '../support/raw-http.ts'

describe('discovery', () => {
  let purser: TestPurser
  beforeAll(async () => {
    purser = await startPurser({ store: 'postgres' })
  })
  afterAll(() => purser.stop())

  it('has https URLs where strict clients require them', async () => {
    const { body } = await purser.call('GET', '/.well-known/openid-configuration')
    for (const name of ['issuer', 'jwks_uri', 'authorization_endpoint']) {
      const url = new URL(String(body[name]))
      expect([url.protocol, url.origin, url.hash]).toEqual(['https:', audience, ''])
    }
    expect((await purser.call('GET', '/authorize')).status).toBe(404)
  })

  it('serves the same keys at /.well-known/jwks.json', async () => {
    const [keys, alias] = [await purser.call('GET', '/keys'), await purser.call('GET', '/.well-known/jwks.json')]
    expect([alias.status, alias.text]).toEqual([200, keys.text])
    for (const name of ['content-type', 'cache-control', 'access-control-allow-origin'])
      expect(alias.headers.get(name)).toBe(keys.headers.get(name))
  })
})

describe('TLS', () => {
  let purser: TestPurser
  beforeAll(async () => {
    purser = await startPurser({ store: 'postgres', tls: true })
  })
  afterAll(() => purser.stop())

  const handshake = (group: string): Promise<string> =>
    new Promise((resolve) => {
      const { hostname: host, port } = new URL(purser.url)
      const socket = connect({ host, port: Number(port), ca: purser.roots, ecdhCurve: group, servername: 'localhost' })
      socket.once('secureConnect', () => resolve(socket.getProtocol() ?? '')).once('error', () => resolve('refused'))
      socket.once('close', () => resolve('closed'))
      socket.once('secureConnect', () => socket.destroy())
    })

  it.each([
    ['X25519', 'TLSv1.3'],
    ['P-256', 'TLSv1.3'],
    ['P-384', 'TLSv1.3'],
    ['P-521', 'refused'],
    ['X448', 'refused'],
    ['ffdhe2048', 'refused'],
  ])('agrees on %s: %s', async (group, expected) => {
    expect(await handshake(group)).toBe(expected)
  })
})

describe('CRLs over plain HTTP', () => {
  let purser: TestPurser
  const base = 'http://crl.example.org/purser'
  beforeAll(async () => {
    const env = { PURSER_CRL_LISTEN: '127.0.0.1:0', PURSER_CRL_URL: base }
    purser = await startPurser({ store: 'postgres', tls: true, env })
  })
  afterAll(() => purser.stop())

  const pointOf = (pem: string): string | undefined =>
    /URI:(http\S+)/.exec(opensslOutput(['x509', '-noout', '-ext', 'crlDistributionPoints'], pem))?.[1]
  const readCrl = async (id: string): Promise<string> => {
    const response = await fetch(`${purser.crlUrl ?? ''}/crl/${id}`)
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/pkix-crl'])
    const file = scratch()('crl.der', Buffer.from(await response.arrayBuffer()))
    return opensslOutput(['crl', '-inform', 'DER', '-in', file, '-noout', '-issuer'])
  }

  it('are named by every certificate and served there', async () => {
    const { leaf, issuing } = await (await createLab(purser)).get()
    for (const pem of [leaf, issuing]) {
      const point = pointOf(pem) ?? ''
      expect(point.startsWith(`${base}/crl/`)).toBe(true)
      expect(await readCrl(point.slice(`${base}/crl/`.length))).toMatch(/^issuer=/)
    }
    const roots = await (await fetch(`${purser.crlUrl ?? ''}/ca.pem`)).text()
    expect(new X509Certificate(issuing).checkIssued(new X509Certificate(roots))).toBe(true)
  })

  it('are the only routes of their listener', async () => {
    for (const line of [
      'GET /api/v1/server',
      'GET /keys',
      'GET /healthz',
      'GET /docs',
      'POST /api/v1/credentials',
      'GET /api/v1/workloads',
      'POST /api/v1/bootstrap',
    ]) {
      const answer = await ask(purser.crlUrl ?? '', `${line} HTTP/1.1`, [`Authorization: Bearer ${purser.admin}`])
      expect([line, answer.status, answer.code]).toEqual([line, 404, 'not_found'])
    }
    expect((await ask(purser.crlUrl ?? '', 'PUT /ca.pem HTTP/1.1')).headers.get('allow')).toBe('GET, HEAD')
  })
})
