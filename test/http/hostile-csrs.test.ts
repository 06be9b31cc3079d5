/** Hostile certificate requests: each class is a 422 with an entry, and of a request only the key is used. */
import { type JsonWebKey, X509Certificate, createPublicKey } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Asn1,
  boolean,
  context,
  integer,
  nothing,
  octetString,
  oid,
  raw,
  sequence,
  set,
  toDer,
} from '../../src/keys/asn1.ts'
import { craftCsr, csrPem, ecSpki, rsaSha256, rsaSpki } from '../support/craft-csr.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { openssl, opensslOutput } from '../support/openssl.ts'
import { entriesOf } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser } from '../support/purser.ts'
import { ecPair, rsaPair, spkiOf } from '../support/test-ca.ts'
import { type WeakRsa, adjacentRsa, rocaRsa, squareRsa } from '../support/weak-rsa.ts'

let purser: TestPurser
let issuer: Issuer

beforeAll(async () => {
  // One identity sends every request, and each refusal must be an entry of its own.
  purser = await startPurser({ store: 'postgres', env: { PURSER_LIMIT_REFUSALS_PER_MINUTE: '10000' } })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
})
afterAll(() => purser.stop())

const send = async (csr: string, more: Record<string, unknown> = {}): Promise<Answer> =>
  purser.call('POST', '/api/v1/credentials', {
    proof: { kind: 'jwt', token: await issuer.token() },
    x509: { csr, ...more },
    jwts: [{ audience: ['payments'] }],
  })

/** 422, and one entry that names the workload and the reason. No other part of the request was issued. */
async function refused(csr: string, reason: string): Promise<void> {
  const answer = await send(csr)
  expect(answer.status).toBe(422)
  expect(answer.body).toMatchObject({ code: 'bad_csr', errors: [{ pointer: '/x509/csr' }] })
  expect(answer.text).not.toMatch(/eyJ|BEGIN|error:|OpenSSL/)
  expect(await entriesOf(purser, answer.body.requestId)).toMatchObject([
    {
      action: 'credentials.issue',
      outcome: 'refused',
      reason: 'bad_csr',
      actor: { kind: 'workload', attestor: 'lab', selectors: { 'oidc:sub': 'web' } },
      detail: { csr: reason },
    },
  ])
}

const ec = ecPair()
const other = ecPair()
const key = ec.privateKey
const good = craftCsr({ key })
const point = spkiOf(ec.publicKey).subarray(26)
const p256 = '1.2.840.10045.3.1.7'
const offCurve = Buffer.concat([point.subarray(0, 64), Buffer.of((point[64] ?? 0) ^ 1)])
const indefinite = Buffer.concat([Buffer.of(0x30, 0x80), good.subarray(4), Buffer.of(0, 0)])
const longLength = Buffer.concat([Buffer.of(0x30, 0x83, 0), good.subarray(2)])
const nested = Buffer.concat([...Array.from({ length: 4_000 }, () => Buffer.of(0x30, 0x80)), Buffer.of(5, 0)])

/** As a client creates it, with the openssl binary. */
const opensslCsr = (...args: string[]): string =>
  opensslOutput(['req', '-new', '-nodes', '-keyout', '/dev/null', ...args])

describe('a malformed certificate request', () => {
  it.each([
    ['words', 'hello', 'not_pem'],
    ['two blocks', csrPem(good) + csrPem(good), 'not_pem'],
    ['a block with headers', csrPem(good).replace('-----\n', '-----\nProc-Type: 4,ENCRYPTED\n\n'), 'not_pem'],
    ['a certificate', csrPem(good).replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE'), 'not_pem'],
    ['text in the block', csrPem(Buffer.from('hello')), 'not_der'],
    ['an indefinite length', csrPem(indefinite), 'not_der'],
    ['a length of too many bytes', csrPem(longLength), 'not_der'],
    ['nesting without end', csrPem(nested), 'not_der'],
    ['a byte behind', csrPem(Buffer.concat([good, Buffer.of(0)])), 'trailing'],
    ['another version', csrPem(craftCsr({ key, version: integer(1) })), 'malformed'],
    ['no members', csrPem(Buffer.of(0x30, 0)), 'malformed'],
  ])('is refused: %s', (_, csr, reason) => refused(csr, reason))
})

describe('a weak or foreign key', () => {
  it.each([
    ['a point off its curve', csrPem(craftCsr({ key, spki: ecSpki(p256, offCurve) })), 'unsupported_key'],
    ['the point at infinity', csrPem(craftCsr({ key, spki: ecSpki(p256, Buffer.of(0)) })), 'unsupported_key'],
    [
      'secp256k1',
      opensslCsr('-subj', '/', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1'),
      'unsupported_key',
    ],
    ['P-521', opensslCsr('-subj', '/', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-521'), 'unsupported_key'],
    [
      'explicit parameters',
      opensslCsr(
        '-subj',
        '/',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-pkeyopt',
        'ec_param_enc:explicit',
      ),
      'unsupported_key',
    ],
    ['RSA of 1024 bits', opensslCsr('-subj', '/', '-newkey', 'rsa:1024'), 'weak_key'],
    [
      'RSA with exponent 3',
      opensslCsr('-subj', '/', '-newkey', 'rsa:2048', '-pkeyopt', 'rsa_keygen_pubexp:3'),
      'weak_key',
    ],
  ])('is refused: %s', (_, csr, reason) => refused(csr, reason))

  /** Signed by the weak key itself: possession is proven, and any other party could prove it too. */
  function weakCsr({ n, e, sign }: WeakRsa): string {
    const spki = rsaSpki(integer(n), integer(e))
    const info = toDer(sequence([integer(0), sequence([]), raw(spki), context(0, [])]))
    return csrPem(craftCsr({ key, spki, algorithm: rsaSha256(), signature: sign(info) }))
  }
  it.each([
    ['with the fingerprint of ROCA (CVE-2017-15361)', rocaRsa],
    ['whose modulus is a square', squareRsa],
    ['of adjacent primes', adjacentRsa],
  ])('is refused: RSA %s', (_, make) => refused(weakCsr(make()), 'weak_key'))

  it('is refused: a key of Purser itself', async () => {
    const issued = await send(csrPem(good))
    const { certificateChain } = issued.body.x509 as { certificateChain: string }
    const issuing = new X509Certificate(certificateChain.slice(certificateChain.lastIndexOf('-----BEGIN')))
    const root = new X509Certificate(purser.roots)
    expect([issuing.ca, root.ca, issuing.checkIssued(root)]).toEqual([true, true, true])
    const jwks = (await purser.call('GET', '/keys')).body as { keys?: JsonWebKey[] }
    const jwtKeys = (jwks.keys ?? []).map((jwk) => createPublicKey({ key: jwk, format: 'jwk' }))
    expect(jwtKeys).toHaveLength(2)
    for (const own of [issuing.publicKey, root.publicKey, ...jwtKeys]) {
      const isRsa = own.asymmetricKeyType === 'rsa'
      await refused(csrPem(craftCsr({ key, spki: spkiOf(own) })), isRsa ? 'unsupported_signature' : 'bad_signature')
    }
  })
})

describe('ambiguous extensions', () => {
  const request = (...values: Asn1[]): Asn1 => sequence([oid('1.2.840.113549.1.9.14'), set(values)])
  const extensionOf = (id: string, critical = false): Asn1 =>
    sequence([oid(id), ...(critical ? [boolean(true)] : []), octetString(toDer(nothing()))])
  const [keyUsage, altName, unknown] = ['2.5.29.15', '2.5.29.17', '1.2.3.4'] as const
  const withAttributes = (...attributes: Asn1[]): string =>
    csrPem(craftCsr({ key, attributes: [context(0, attributes)] }))

  it.each<[string, Asn1[]]>([
    ['one twice', [request(sequence([extensionOf(altName), extensionOf(altName)]))]],
    ['an unknown one twice', [request(sequence([extensionOf(unknown), extensionOf(unknown)]))]],
    [
      'one in each of two attributes',
      [request(sequence([extensionOf(altName)])), request(sequence([extensionOf(keyUsage)]))],
    ],
    ['two lists in one attribute', [request(sequence([extensionOf(altName)]), sequence([extensionOf(keyUsage)]))]],
    ['no list', [request()]],
    ['a critical one that is unknown', [request(sequence([extensionOf(keyUsage, true), extensionOf(unknown, true)]))]],
    ['a list that holds something else', [request(sequence([nothing()]))]],
  ])('are refused: %s', (_, attributes) => refused(withAttributes(...attributes), 'extensions'))

  it('are accepted and ignored if each is known or not critical', async () => {
    const attributes = request(
      sequence([extensionOf(keyUsage, true), extensionOf(altName, true), extensionOf(unknown)]),
    )
    expect((await send(withAttributes(attributes))).status).toBe(200)
  })
})

describe('an invalid signature', () => {
  const rsa = rsaPair()
  const flipped = Buffer.from(good)
  flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1

  it.each([
    ['another key’s', csrPem(craftCsr({ key: other.privateKey, spki: spkiOf(ec.publicKey) })), 'bad_signature'],
    ['one bit off', csrPem(flipped), 'bad_signature'],
    ['of nothing', csrPem(craftCsr({ key, signature: Buffer.alloc(0) })), 'bad_signature'],
    ['of zeros', csrPem(craftCsr({ key, signature: Buffer.from('3006020100020100', 'hex') })), 'bad_signature'],
    ['over MD5', opensslCsr('-subj', '/', '-newkey', 'rsa:2048', '-md5'), 'unsupported_signature'],
    [
      'over SHA-1',
      opensslCsr('-subj', '/', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-sha1'),
      'unsupported_signature',
    ],
    ['of an EC algorithm over an RSA key', csrPem(craftCsr({ key: rsa.privateKey })), 'unsupported_signature'],
  ])('is refused: %s', (_, csr, reason) => refused(csr, reason))
})

describe('a request with further demands', () => {
  it('of a megabyte is refused as too large', async () => {
    expect(await send(csrPem(Buffer.alloc(1 << 20)))).toMatchObject({ status: 413, body: { code: 'too_large' } })
    expect(await send(csrPem(Buffer.alloc(20_000)))).toMatchObject({ status: 400, body: { code: 'invalid_request' } })
  })

  it('beside generateKey is refused', async () => {
    expect(await send(csrPem(good), { generateKey: 'EC-P256' })).toMatchObject({ status: 400 })
  })

  it('contributes no names, CA rights, usages, times or subject', async () => {
    const wishes = [
      'basicConstraints=critical,CA:TRUE,pathlen:3',
      'keyUsage=critical,keyCertSign,cRLSign',
      'extendedKeyUsage=anyExtendedKeyUsage,codeSigning,OCSPSigning',
      'nameConstraints=permitted;DNS:.example.com',
      'subjectAltName=URI:spiffe://example.org/lab/admin,URI:spiffe://other.example/x,DNS:admin.example.com,IP:10.0.0.1,email:root@example.com',
      '1.2.3.4=ASN1:UTF8String:canary',
    ]
    const csr = opensslCsr(
      '-subj',
      '/O=Evil/CN=admin',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      ...wishes.flatMap((extension) => ['-addext', extension]),
    )
    const answer = await send(csr, { dnsNames: [] })
    expect(answer.status).toBe(200)
    const chain = answer.body.x509 as { certificateChain: string }
    const leaf = new X509Certificate(chain.certificateChain)
    expect(leaf.subjectAltName).toBe('URI:spiffe://example.org/lab/web')
    expect(leaf.ca).toBe(false)
    expect(leaf.subject ?? '').not.toMatch(/Evil|admin/)
    expect(leaf.keyUsage?.toSorted()).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'])
    expect(leaf.raw.includes('canary')).toBe(false)
    expect(leaf.publicKey.equals(createPublicKey(openssl(['req', '-pubkey', '-noout'], csr).output))).toBe(true)
  })

  it('gets its own SPIFFE ID whatever the subject', async () => {
    for (const subject of ['/CN=spiffe:\\/\\/example.org\\/lab\\/admin', `/CN=${'a'.repeat(64)}`, '/CN=web\\00admin']) {
      const csr = opensslCsr('-utf8', '-subj', subject, '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256')
      const answer = await send(csr)
      expect(answer.body).toMatchObject({ spiffeId: 'spiffe://example.org/lab/web' })
    }
  })
})
