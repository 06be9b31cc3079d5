/**
 * The credentials of a Purser in memory pass the checks of the real ones: OpenSSL, the server's lint, jose, receipts.
 */
import { X509Certificate, generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectTls, createServer } from 'node:tls'
import { type Purser, PurserError } from '@purser/sdk'
import { type RefusalCode, type TestPurser, createTestPurser } from '@purser/sdk/testing'
import { verifyReceipt } from '@purser/sdk/verify'
import { calculateJwkThumbprint, createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createCsr } from '../../../sdk/src/certificates/csr.ts'
import { createParts } from '../../../sdk/src/testing/parts.ts'
import { createServer as createServerInMemory } from '../../../sdk/src/testing/server.ts'
import { refusals } from '../../../src/errors.ts'
import { lintLeaf } from '../../../src/issue/x509-lint.ts'
import { childrenOf, fromDerStrict } from '../../../src/keys/asn1-strict.ts'
import { raw, tag, toDer } from '../../../src/keys/asn1.ts'
import { keyIdOf } from '../../../src/keys/ca-certificates.ts'
import { readCertificate } from '../../../src/keys/read-certificate.ts'
import { createSigner } from '../../../src/keys/signer.ts'
import { openssl, opensslOutput, scratch } from '../../support/openssl.ts'
import { split } from '../../support/published.ts'
import { ecPair, newSerial, secondsFrom, spkiOf } from '../../support/test-ca.ts'
import { failing } from '../failing.ts'

function inMemory(): TestPurser {
  const purser = createTestPurser()
  onTestFinished(() => purser.close())
  return purser
}

const spiffeId = 'spiffe://example.org/prod/web'
const leafOf = ({ x509 }: Purser): X509Certificate => new X509Certificate(x509.certificateChain)

/** Sends a request to a Purser in memory as a client's transport does. */
function serverInMemory() {
  const parts = createParts('example.org', () => new Date())
  const server = createServerInMemory(parts)
  parts.entries.put({ spiffeId, dnsNames: ['web.prod.svc'] })
  const ask = (method: 'GET' | 'POST', path: string, body?: unknown) =>
    server.handle({ method, path, maxBytes: 0, ...(body !== undefined && { body: JSON.stringify(body) }) }).answer
  const issue = (x509: Record<string, unknown>) => {
    const answer = ask('POST', '/api/v1/credentials', {
      proof: { kind: 'jwt', token: parts.attestation.proofFor(spiffeId, {}) },
      x509,
    })
    return { answer, x509: (JSON.parse(answer.text) as { x509: Record<string, string> }).x509 }
  }
  return { parts, ask, issue }
}

describe('a certificate', () => {
  test.each([
    ['EC P-256', () => generateKeyPairSync('ec', { namedCurve: 'P-256' })],
    ['EC P-384', () => generateKeyPairSync('ec', { namedCurve: 'P-384' })],
    ['Ed25519', () => generateKeyPairSync('ed25519')],
    ['RSA', () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
  ])("for a key of %s is valid to openssl in strict mode, with its CRLs, and passes the server's lint", (_, pair) => {
    const { ask, issue } = serverInMemory()
    const { privateKey, publicKey } = pair()
    const { x509 } = issue({ csr: createCsr(privateKey) })
    const [leaf = '', issuing = ''] = split(x509.certificateChain ?? '')
    const root = x509.trustBundle ?? ''

    const file = scratch()
    const crls = [leaf, issuing].map((certificate) => {
      const [, path = ''] =
        /URI:https:\/\/purser\.test(\/crl\/\S+)/.exec(opensslOutput(['x509', '-noout', '-text'], certificate)) ?? []
      const der = ask('GET', path).bytes
      return opensslOutput(['crl', '-inform', 'DER', '-in', file('crl', der)])
    })
    const checks = ['-x509_strict', '-check_ss_sig', '-crl_check_all', '-CRLfile', file('crls', crls.join(''))]
    const chain = ['-CAfile', file('root', root), '-untrusted', file('ca', issuing), file('leaf', leaf)]
    for (const purpose of ['sslserver', 'sslclient'])
      expect(openssl(['verify', '-purpose', purpose, ...checks, ...chain])).toMatchObject({ ok: true })

    const der = new X509Certificate(leaf)
    const [tbs] = childrenOf(fromDerStrict(der.raw), tag.sequence)
    const ca = new X509Certificate(issuing)
    const [, crlUrl] =
      /URI:(\S+)/.exec(/CRL Distribution[^]*/.exec(opensslOutput(['x509', '-noout', '-text'], leaf))?.[0] ?? '') ?? []
    expect(crlUrl).toMatch(/^https:\/\/purser\.test\/crl\/ca-[0-9a-f]{32}$/)
    const profile = {
      purpose: 'svid' as const,
      trustDomain: 'example.org',
      spiffeId,
      dnsNames: ['web.prod.svc'],
      ipAddresses: [],
      spki: spkiOf(publicKey),
      keyEncipherment: publicKey.asymmetricKeyType === 'rsa',
      serial: Buffer.from(x509.serialNumber ?? '', 'hex'),
      notBefore: new Date(der.validFrom),
      notAfter: new Date(x509.notAfter ?? ''),
      crlUrl,
    }
    const issuer = {
      name: raw(toDer(readCertificate(ca.raw).subject)),
      keyId: keyIdOf(spkiOf(ca.publicKey)),
      notBefore: new Date(ca.validFrom),
      notAfter: new Date(ca.validTo),
      signer: createSigner(ecPair().privateKey),
    }
    lintLeaf(tbs ? toDer(tbs) : Buffer.alloc(0), profile, issuer)
    // The lint notices a difference.
    expect(() => lintLeaf(tbs ? toDer(tbs) : Buffer.alloc(0), { ...profile, dnsNames: [] }, issuer)).toThrow('refused')
  })

  test.each(['EC-P256', 'RSA-2048'] as const)('with a key of the server, %s', async (generateKey) => {
    const client = await inMemory().connect({ spiffeId, x509: { generateKey } })
    expect(leafOf(client).publicKey.asymmetricKeyType).toBe(generateKey === 'EC-P256' ? 'ec' : 'rsa')
  })

  test('is refused for a request with a wrong signature, and for what is no request', () => {
    const { issue } = serverInMemory()
    const good = createCsr(ecPair().privateKey)
    const other = Buffer.from(good.replace(/-----.*-----|\n/g, ''), 'base64')
    // One bit of the signature.
    other.writeUInt8(other.readUInt8(other.length - 1) ^ 1, other.length - 1)
    const bad = good.replace(/(?<=REQUEST-----\n)[^-]+/, `${other.toString('base64')}\n`)
    for (const csr of [bad, '', 'x', good.replace('MI', 'MJ'), createCsr(ecPair('secp384r1').privateKey).slice(0, 200)])
      expect(issue({ csr }).answer).toMatchObject({ status: 422 })
    expect(issue({ csr: good }).answer.status).toBe(200)
  })

  test('works for mTLS between workloads in Node', async () => {
    const purser = inMemory()
    const api = await purser.connect({ spiffeId: 'spiffe://example.org/api', dnsNames: ['api.test'] })
    const web = await purser.connect({ spiffeId })
    const mine = ({ x509 }: Purser) => ({ key: x509.privateKey, cert: x509.certificateChain, ca: x509.trustBundle })
    const server = createServer({ ...mine(api), requestCert: true, rejectUnauthorized: true })
    onTestFinished(() => void server.close())
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const address = server.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const accepted = once(server, 'secureConnection')
    const socket = connectTls({ ...mine(web), port, host: '127.0.0.1', servername: 'api.test' })
    onTestFinished(() => void socket.destroy())
    const [peer] = (await accepted) as [typeof socket]
    expect(peer.getPeerX509Certificate()?.subjectAltName).toBe(`URI:${spiffeId}`)
  })
})

test('many revocations make one CRL that openssl reads', () => {
  const { parts, ask, issue } = serverInMemory()
  const { x509 } = issue({ csr: createCsr(ecPair().privateKey) })
  const [leaf = '', issuing = ''] = split(x509.certificateChain ?? '')
  const text = opensslOutput(['x509', '-noout', '-text'], leaf)
  const [, path = '', keyId = ''] = /URI:https:\/\/purser\.test(\/crl\/(\S+))/.exec(text) ?? []
  const serials = Array.from({ length: 3_000 }, () => newSerial().toString('hex'))
  const at = new Date()
  for (const serialNumber of serials) parts.authority.revoke(keyId, { serialNumber, at, until: secondsFrom(at, 60) })
  const file = scratch()
  const args = [
    'crl',
    '-inform',
    'DER',
    '-in',
    file('crl', ask('GET', path).bytes),
    '-CAfile',
    file('ca', issuing),
    '-noout',
    '-text',
  ]
  const { ok, output } = openssl(args)
  expect({ ok, verified: output.includes('verify OK') }).toEqual({ ok: true, verified: true })
  expect(
    output.match(/Serial Number: ([0-9A-F]+)/g)?.map((match) => match.slice(15).toLowerCase().padStart(32, '0')),
  ).toEqual(serials)
})

describe('a JWT-SVID', () => {
  test('verifies with jose against the key set, and its header has no other members', async () => {
    const { parts, ask } = serverInMemory()
    const answer = ask('POST', '/api/v1/credentials', {
      proof: { kind: 'jwt', token: parts.attestation.proofFor(spiffeId, {}) },
      jwts: [{ audience: ['payments', 'ledger'] }],
    })
    const [jwt] = (JSON.parse(answer.text) as { jwts: { token: string; jti: string }[] }).jwts
    const keys = createLocalJWKSet(JSON.parse(ask('GET', '/keys').text))
    const { payload } = await jwtVerify(jwt?.token ?? '', keys, {
      issuer: parts.issuer,
      audience: 'ledger',
      subject: spiffeId,
    })
    expect(payload).toMatchObject({ aud: ['payments', 'ledger'], jti: jwt?.jti })
    const { kid, ...rest } = decodeProtectedHeader(jwt?.token ?? '')
    expect(rest).toEqual({ alg: 'ES256', typ: 'JWT' })
    expect(kid).toBe(await calculateJwkThumbprint(parts.jwtKeys.jwks('sig')[0] ?? {}))
  })
})

describe('receipts', () => {
  test('of each request prove growth since the one before', async () => {
    const purser = inMemory()
    const web = await purser.connect({ spiffeId, jwts: ['payments'], accessToken: true })
    let since = verifyReceipt(web.receipt, { vkeys: [purser.logKey] }).checkpoint
    for (let n = 0; n < 5; n++) {
      await web.renew()
      const next = verifyReceipt(web.receipt, { vkeys: [purser.logKey], since, origin: 'example.org/log/1' })
      expect(next.checkpoint.size).toBeGreaterThan(since.size)
      since = next.checkpoint
    }
  })

  test('are refused only by clients that saw what a fork denies', async () => {
    const purser = inMemory()
    const before = await purser.connect({ spiffeId })
    const after = await purser.connect({ spiffeId })
    const forks: unknown[] = []
    after.on('fork', (event) => forks.push(event.heads))
    purser.fork()
    const error = await failing(after.renew())
    expect(error.code).toBe('log_forked')
    expect(forks).toEqual([error.heads])
    await before.renew()
  })
})

test('refusals have the status and text of the real server', async () => {
  const purser = inMemory()
  const web = await purser.connect({ spiffeId })
  const codes = Object.keys(refusals).filter((code) => {
    try {
      purser.refuse(code as RefusalCode)
      return true
    } catch (error) {
      expect(error).toBeInstanceOf(PurserError)
      return false
    }
  }) as RefusalCode[]
  expect(codes.length).toBeGreaterThan(10)
  for (const code of codes) {
    purser.refuse(code, { retryAfterSeconds: 60 })
    expect(await failing(web.renew())).toMatchObject({
      code,
      status: refusals[code].status,
      detail: refusals[code].title,
    })
  }
})
