/** Keys that can be factored, and points that are on no curve, at every route that takes a key or a certificate. */
import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Ask, createAsk, fault } from '../support/operator.ts'
import { openssl, opensslOutput, scratch } from '../support/openssl.ts'
import { type TestPurser, audience, startPurser } from '../support/purser.ts'
import { upstreamCa } from '../support/upstream-ca.ts'
import { adjacentRsa, rocaPrivateKey, rocaRsa, squareRsa } from '../support/weak-rsa.ts'

let purser: TestPurser
let ask: Ask

beforeAll(async () => {
  purser = await startPurser({ store: 'postgres' })
  ask = createAsk(purser)
  await ask('putSecret', { name: 'prod/db', body: { data: { password: 'first-password' } }, ifMatch: 0 })
})
afterAll(() => purser.stop())

const point = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })

describe('a JWK of an issuer', () => {
  const attestor = (key: object) => ({
    name: 'weak',
    kind: 'oidc',
    issuer: 'https://weak.issuer.example',
    audience,
    keys: { jwks: { keys: [key] } },
  })
  it.each<[string, () => object]>([
    ['with the fingerprint of ROCA', () => rocaRsa().jwk],
    ['whose modulus is a square', () => squareRsa().jwk],
    ['of adjacent primes', () => adjacentRsa().jwk],
    ['whose point is on no curve', () => ({ ...point, y: point.x })],
    ['without half of its point', () => ({ kty: 'EC', crv: 'P-256', x: point.x })],
    ['of small order', () => ({ kty: 'OKP', crv: 'Ed25519', x: Buffer.alloc(32).toString('base64url') })],
  ])('is refused: %s', async (_, make) => {
    const answer = await ask('createAttestor', { body: attestor(make()) })
    expect(fault(answer)).toBe('422 impossible /keys/jwks/keys/0')
    expect(fault(await ask('getAttestor', { name: 'weak' }))).toBe('404 not_found')
  })
})

const certificate = (...args: string[]): string =>
  opensslOutput(['req', '-x509', '-new', '-nodes', '-subj', '/CN=root', '-days', '10', ...args])

describe('a configured root for another server', () => {
  function weakRoots(): [string, string][] {
    const roca = scratch()('roca.key', String(rocaPrivateKey().export({ type: 'pkcs8', format: 'pem' })))
    const generated = ['-keyout', '/dev/null', '-newkey']
    const good = certificate(...generated, 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256')
    return [
      ['ROCA', certificate('-key', roca)],
      ['1,024 bits', certificate(...generated, 'rsa:1024')],
      ['exponent 3', certificate(...generated, 'rsa:2048', '-pkeyopt', 'rsa_keygen_pubexp:3')],
      ['the second of two', good + certificate('-key', roca)],
      ['none', 'no certificate'],
    ]
  }

  const places: [string, string, (caPem: string) => ReturnType<Ask>][] = [
    [
      'an oidc attestor',
      '/caPem',
      (caPem) =>
        ask('createAttestor', { body: { name: 'a', kind: 'oidc', issuer: 'https://a.example', audience, caPem } }),
    ],
    [
      'an API server',
      '/apiServer/caPem',
      (caPem) => {
        const apiServer = { url: 'https://10.0.0.1:6443', caPem, tokenFile: '/var/run/token' }
        return ask('createAttestor', {
          body: { name: 'k', kind: 'kubernetes', issuer: 'https://k.example', audience, apiServer },
        })
      },
    ],
    [
      'a webhook',
      '/rotator/caPem',
      (caPem) => {
        const generate = { password: { length: 32, alphabet: 'alphanumeric' } }
        const rotator = { kind: 'webhook', url: 'https://hook.example/rotate', generate, caPem }
        return ask('putRotationPolicy', { name: 'prod/db', body: { rotator }, ifMatch: 0 })
      },
    ],
    [
      'a database',
      '/tls/caPem',
      (caPem) =>
        ask('createDatabase', {
          body: {
            name: 'orders',
            kind: 'postgres',
            host: 'db.example',
            port: 5432,
            database: 'orders',
            tls: { caPem },
            admin: { username: 'purser_admin', password: 'a-password-of-the-admin' },
            roles: { grants: [] },
            defaultLifetimeSeconds: 60,
            maxLifetimeSeconds: 600,
          },
        }),
    ],
  ]
  it.each(places)('is refused if its key is weak: %s', async (_, pointer, write) => {
    for (const [name, pem] of weakRoots()) {
      const answer = await write(pem)
      expect(fault(answer), name).toBe(`422 impossible ${pointer}`)
      expect(answer.text).toContain(
        name === 'none' ? 'PEM certificates' : `certificate ${name === 'the second of two' ? 2 : 1}`,
      )
    }
  })
})

describe('a chain of an upstream CA', () => {
  const key = [
    'basicConstraints=critical,CA:TRUE,pathlen:0',
    'keyUsage=critical,keyCertSign,cRLSign',
    'subjectKeyIdentifier=hash',
  ]
  const name = 'subjectAltName=URI:spiffe://example.org'
  const importOf = async (extensions: string[], serial?: string, rootKey?: string): Promise<string> => {
    const { root, signed } = upstreamCa(rootKey === undefined ? {} : { keyPem: rootKey, digest: '-sha256' })
    const { csr } = (await ask('createCaCsr', { body: {} })).body
    const chain = signed(String(csr), 'root', extensions, serial)
    // OpenSSL creates and reads it.
    expect(openssl(['x509', '-noout'], chain).ok).toBe(true)
    const answer = await ask('importCaChain', { body: { certificateChain: chain, trustBundle: root } })
    return `${fault(answer)}: ${String(answer.body['detail'])}`
  }

  it.each<[string, string, RegExp]>([
    ['negative', '-5', /serial number/],
    ['zero', '0', /serial number/],
    ['of 21 bytes', `01${'00'.repeat(20)}`, /serial number/],
    ['of 20 bytes whose first bit makes them 21', 'ff'.repeat(20), /serial number/],
  ])('is refused: a serial number that is %s', async (_, serial, words) => {
    expect(await importOf([...key, name], serial)).toMatch(words)
  })

  it.each<[string, string[], RegExp]>([
    ['an OID arc above 2^32', [name, '1.3.6.1.4.1.4294967296=DER:0500'], /OID arc/],
    ['an OID arc of 128 bits', [name, '2.25.329800735698586629295641978511506172918=DER:0500'], /OID arc/],
    ['an invalid name', ['subjectAltName=DER:0500'], /cannot be decoded/],
    ['an empty list of names', ['subjectAltName=DER:3000'], /cannot be decoded/],
    ['an IP address of three bytes', ['subjectAltName=DER:300587030a0000'], /cannot be decoded/],
    ['a name with a NUL', ['subjectAltName=DER:30058203610062'], /cannot be decoded/],
  ])('is refused: %s', async (_, extensions, words) => {
    expect(await importOf([...key, ...extensions])).toMatch(words)
  })

  it('is refused: a root with the fingerprint of ROCA', async () => {
    const rootKey = String(rocaPrivateKey().export({ type: 'pkcs8', format: 'pem' }))
    expect(await importOf([...key, name], undefined, rootKey)).toMatch(/weak RSA key.*ROCA/)
  })

  it('is accepted with a serial number of 20 bytes and the widest arc', async () => {
    const wide = `7f${'ff'.repeat(19)}`
    expect(await importOf([...key, name, '1.3.6.1.4.1.4294967295=DER:0500'], wide)).toMatch(/^200 /)
  })
})
