// The checker accepts valid input and refuses invalid input: otherwise its verdicts on Purser would prove nothing.

import { createHash, generateKeyPairSync, sign, X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exportJWK, SignJWT } from 'jose'
import type { JWK } from 'jose'
import { afterAll, describe, expect, it } from 'vitest'
import { check } from './support/checker.ts'
import { createAuthority } from './support/openssl.ts'

const trustDomain = 'example.org'
const id = 'spiffe://example.org/web'
const folder = mkdtempSync(join(tmpdir(), 'purser-checker-'))
afterAll(() => rmSync(folder, { recursive: true }))

const authority = createAuthority(folder, 'ours')
const stranger = createAuthority(folder, 'stranger')
const leafLines = ['basicConstraints=critical,CA:FALSE', 'keyUsage=critical,digitalSignature']
const web = authority.issue('web', [...leafLines, `subjectAltName=URI:${id}`])

const jwtKey = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const jwtJwk: JWK = { ...(await exportJWK(jwtKey.publicKey)), kid: 'key-1' }

async function bundleOf(certPem: string): Promise<string> {
  const certificate = new X509Certificate(certPem)
  const x509 = { ...(await exportJWK(certificate.publicKey)), x5c: [certificate.raw.toString('base64')] }
  const keys = [
    { ...x509, use: 'x509-svid' },
    { ...jwtJwk, use: 'jwt-svid' },
  ]
  return JSON.stringify({ keys, spiffe_sequence: 7, spiffe_refresh_hint: 300 })
}
const bundle = await bundleOf(authority.certPem)

const refused = (reason: string) => ({ error: expect.stringContaining(reason) })

describe('x509svid', () => {
  it('reads an SVID and verifies it with its bundle', async () => {
    const verdict = await check('x509svid', { ...web, trustDomain, bundle })
    const notAfter = new Date(new X509Certificate(web.certPem).validTo).toISOString().replace('.000Z', 'Z')
    expect(verdict).toEqual({ id, notAfter, chainSize: 2 })
  })

  it('refuses an SVID of another authority, another key, or another time', async () => {
    const elsewhere = await bundleOf(stranger.certPem)
    expect(await check('x509svid', { ...web, trustDomain, bundle: elsewhere })).toEqual(refused('unknown authority'))
    const swapped = { certPem: web.certPem, keyPem: stranger.keyPem }
    expect(await check('x509svid', { ...swapped, trustDomain, bundle })).toEqual(refused('private key'))
    const expired = { ...web, at: '2200-01-01T00:00:00Z' }
    expect(await check('x509svid', { ...expired, trustDomain, bundle })).toEqual(refused('expired'))
  })

  it.each([
    ['no SPIFFE ID', [...leafLines, 'subjectAltName=DNS:web.example.org'], 'no URI SAN'],
    ['two', [...leafLines, `subjectAltName=URI:${id},URI:${id}/2`], 'more than one URI SAN'],
    ['another trust domain', [...leafLines, 'subjectAltName=URI:spiffe://other.org/web'], 'trust domain'],
    ['a CA', ['basicConstraints=CA:TRUE', leafLines[1] ?? '', `subjectAltName=URI:${id}`], 'CA flag'],
    ['no digitalSignature', ['keyUsage=critical,keyAgreement', `subjectAltName=URI:${id}`], 'digitalSignature'],
  ])('refuses a leaf with %s', async (name, lines, reason) => {
    const bad = authority.issue(name.replaceAll(' ', '-'), lines)
    expect(await check('x509svid', { ...bad, trustDomain, bundle })).toEqual(refused(reason))
  })
})

describe('jwtsvid', () => {
  const audience = ['https://api.example.org']
  const token = (claims: { sub?: string; kid?: string; life?: string; aud?: string }, key = jwtKey.privateKey) =>
    new SignJWT({ team: 'shop' })
      .setProtectedHeader({ alg: 'ES256', kid: claims.kid ?? 'key-1', typ: 'JWT' })
      .setSubject(claims.sub ?? id)
      .setAudience(claims.aud ?? audience)
      .setExpirationTime(claims.life ?? '5m')
      .sign(key)

  it('reads a token with the keys of a SPIFFE bundle or of a JWKS', async () => {
    const jwks = JSON.stringify({ keys: [jwtJwk] })
    for (const keys of [{ bundle }, { jwks }]) {
      const verdict = await check('jwtsvid', { token: await token({}), audience, trustDomain, ...keys })
      expect(verdict).toMatchObject({ id, audience, claims: { team: 'shop', sub: id } })
    }
  })

  it('refuses a token of another audience, key, trust domain or time', async () => {
    const judge = async (svid: Promise<string>) =>
      check('jwtsvid', { token: await svid, audience, trustDomain, bundle })
    expect(await judge(token({ aud: 'https://other.example.org' }))).toEqual(refused('expected audience'))
    expect(await judge(token({ kid: 'key-2' }))).toEqual(refused('no JWT authority'))
    expect(await judge(token({ sub: 'spiffe://other.org/web' }))).toEqual(refused('no bundle found'))
    expect(await judge(token({ life: '-5m' }))).toEqual(refused('expired'))
    const forger = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    expect(await judge(token({}, forger.privateKey))).toEqual(refused('unable to get claims'))
  })
})

describe('bundle', () => {
  it('reads authorities, sequence and refresh hint', async () => {
    const x509 = new X509Certificate(authority.certPem).fingerprint256.replaceAll(':', '').toLowerCase()
    expect(await check('bundle', { trustDomain, bundle })).toEqual({
      x509Authorities: [x509],
      jwtAuthorities: ['key-1'],
      sequenceNumber: 7,
      refreshHintSeconds: 300,
    })
  })

  it('refuses an invalid bundle', async () => {
    expect(await check('bundle', { trustDomain, bundle: '{"keys":' })).toEqual(refused('unable to parse'))
    const nameless = JSON.stringify({ keys: [{ ...jwtJwk, kid: undefined, use: 'jwt-svid' }] })
    expect(await check('bundle', { trustDomain, bundle: nameless })).toEqual(refused('keyID cannot be empty'))
  })
})

describe('zlint', () => {
  const sources = ['RFC5280']
  const serious = { severity: expect.stringMatching(/error|fatal/) }

  it('has no serious finding for a valid certificate', async () => {
    const verdict = await check('zlint', { pem: web.certPem, sources })
    expect(verdict).toMatchObject({ applied: expect.any(Number) })
    expect(verdict).not.toMatchObject({ findings: expect.arrayContaining([expect.objectContaining(serious)]) })
    expect(verdict).not.toMatchObject({ applied: 0 })
  })

  it('names the fault of an invalid one', async () => {
    const { certPem: pem } = authority.issue('zero', [...leafLines, `subjectAltName=URI:${id}`], '-set_serial', '0')
    const fault = { lint: 'e_serial_number_not_positive', severity: 'error', source: 'RFC5280' }
    const verdict = await check('zlint', { pem, sources })
    expect(verdict).toMatchObject({ findings: expect.arrayContaining([expect.objectContaining(fault)]) })
  })

  it('reads CRLs too', async () => {
    const verdict = await check('zlint', { pem: authority.emptyCrl(), sources })
    expect(verdict).toMatchObject({ applied: expect.any(Number) })
    expect(verdict).not.toMatchObject({ applied: 0 })
  })

  it('distinguishes a certificate that it cannot parse from a question that it cannot read', async () => {
    const pem = '-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n'
    expect(await check('zlint', { pem })).toEqual(refused('asn1: '))
    await expect(check('zlint', { pem: web.certPem + web.certPem })).rejects.toThrow('one PEM block')
    await expect(check('zlint', { pem: web.keyPem })).rejects.toThrow('neither CERTIFICATE nor X509 CRL')
    await expect(check('zlint', { pem, sources: ['RFC9999'] })).rejects.toThrow('RFC9999')
  })
})

const sha256 = (...parts: Buffer[]) => createHash('sha256').update(Buffer.concat(parts)).digest()

describe('note', () => {
  const name = 'log.example.org/1'
  const text = `${name}\n3\n${sha256().toString('base64')}\n`
  const signer = (keyName: string) => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    const key = Buffer.concat([Buffer.of(1), publicKey.export({ type: 'spki', format: 'der' }).subarray(-32)])
    const keyId = sha256(Buffer.from(`${keyName}\n`), key).subarray(0, 4) // C2SP signed-note, "Ed25519"
    return {
      vkey: `${keyName}+${keyId.toString('hex')}+${key.toString('base64')}`,
      line: `— ${keyName} ${Buffer.concat([keyId, sign(null, Buffer.from(text), privateKey)]).toString('base64')}\n`,
    }
  }
  const log = signer(name)
  const witness = signer('witness.example.org')
  const note = `${text}\n${log.line}${witness.line}`

  it('opens a checkpoint with the keys of the question', async () => {
    expect(await check('note', { note, vkeys: [log.vkey] })).toEqual({
      text,
      verified: [name],
      unverified: ['witness.example.org'],
    })
  })

  it('refuses a changed text, a key that did not sign, and an empty list of keys', async () => {
    const forged = note.replace('\n3\n', '\n4\n')
    expect(await check('note', { note: forged, vkeys: [log.vkey] })).toEqual(refused('invalid signature'))
    expect(await check('note', { note, vkeys: [signer('other').vkey] })).toEqual(refused('no verifiable'))
    expect(await check('note', { note, vkeys: [] })).toEqual(refused('no verifiable'))
    expect(await check('note', { note, vkeys: [log.vkey.replace('+', '+0')] })).toEqual(refused('malformed'))
  })
})

describe('inclusion and consistency', () => {
  // RFC 6962 section 2.1, a tree of three: H(1, H(1, a, b), c)
  const leaf = Buffer.from('second')
  const [a, b, c] = [Buffer.from('first'), leaf, Buffer.from('third')].map((data) => sha256(Buffer.of(0), data))
  if (!a || !b || !c) throw new Error('three leaves')
  const two = sha256(Buffer.of(1), a, b)
  const three = sha256(Buffer.of(1), two, c)
  const base64 = (bytes: Buffer) => bytes.toString('base64')
  const included = { index: 1, size: 3, leaf: base64(leaf), proof: [a, c].map(base64), root: base64(three) }
  const extension = { size1: 2, size2: 3, proof: [base64(c)], root1: base64(two), root2: base64(three) }

  it('hold for their tree', async () => {
    expect(await check('inclusion', included)).toEqual({ proven: true })
    expect(await check('consistency', extension)).toEqual({ proven: true })
  })

  it('fail for any other', async () => {
    expect(await check('inclusion', { ...included, index: 0 })).toEqual(refused('root'))
    expect(await check('inclusion', { ...included, index: 3 })).toEqual(refused('index'))
    expect(await check('inclusion', { ...included, leaf: base64(c) })).toEqual(refused('root'))
    expect(await check('inclusion', { ...included, proof: [base64(a)] })).toEqual(refused('proof size'))
    expect(await check('consistency', { ...extension, root1: base64(a) })).toEqual(refused('root'))
    expect(await check('consistency', { ...extension, size1: 3, size2: 2 })).toEqual(refused('size'))
  })

  it('need complete questions', async () => {
    await expect(check('inclusion', { ...included, root: '*' })).rejects.toThrow('base64')
  })
})
