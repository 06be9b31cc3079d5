/** The reader of CRLs: ours, those of OpenSSL, and malformed ones. */
import { X509Certificate } from 'node:crypto'
import { assert, nat, property, uint8Array } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fieldsOf } from '../../sdk/src/certificates/fields.ts'
import { readCrl } from '../../sdk/src/revocation/crl.ts'
import { DerError } from '../../sdk/src/certificates/der.ts'
import { type CrlParts, buildCrl } from '../../src/issue/crl.ts'
import { type Asn1, bitString, context, integer, raw, sequence, time, toDer } from '../../src/keys/asn1.ts'
import { crlNumber, extension } from '../../src/keys/extensions.ts'
import { enumerated, octetString } from '../../src/keys/asn1.ts'
import { openssl, opensslOutput, scratch } from '../support/openssl.ts'
import { ecPair, edPair, newSerial, rsaPair, secondsFrom, testCa } from '../support/test-ca.ts'
import { issue, leafOf } from './workloads.ts'

const now = new Date(Math.floor(Date.now() / 1000) * 1000)
const ca = testCa(now)
const issuer = new X509Certificate(ca.issuing.pem)
const serials = [newSerial(), newSerial(), Buffer.from('00ff', 'hex')]
const parts: CrlParts = {
  issuer: ca.issuing,
  number: 7n << 40n,
  thisUpdate: now,
  nextUpdate: secondsFrom(now, 300),
  revoked: serials.map((serial, n) => ({ serial, at: now, ...(n === 0 && { reason: 'keyCompromise' as const }) })),
}
const good = buildCrl(parts).der

describe('a CRL', () => {
  test.each([
    ['P-256', ecPair()],
    ['P-384', ecPair('P-384')],
    ['RSA', rsaPair()],
    ['Ed25519', edPair()],
  ])('of ours, by %s', (_, issuingKeys) => {
    const other = testCa(now, { issuingKeys })
    const { der } = buildCrl({ ...parts, issuer: other.issuing })
    const crl = readCrl(der, new X509Certificate(other.issuing.pem))
    expect(crl).toMatchObject({ number: parts.number, thisUpdate: now, nextUpdate: parts.nextUpdate })
    expect([...crl.serials]).toEqual([
      ...serials.slice(0, 2).map((serial) => serial.toString('hex').replace(/^0+/, '')),
      'ff',
    ])
  })

  test('with no entries', () => {
    expect(readCrl(buildCrl({ ...parts, revoked: [] }).der, issuer).serials.size).toBe(0)
  })

  test('valid beyond 2049', () => {
    const nextUpdate = new Date('2050-01-01T00:00:00Z')
    expect(readCrl(buildCrl({ ...parts, nextUpdate }).der, issuer).nextUpdate).toEqual(nextUpdate)
  })

  test('of one distribution point, for certificates that name it', () => {
    const point = 'https://purser.example.org/crl/key_1/63'
    const { der } = buildCrl({ ...parts, point })
    expect(readCrl(der, issuer, point).serials.size).toBe(3)
    expect(readCrl(good, issuer, point).serials.size).toBe(3)
    for (const other of [undefined, `${point}0`, point.slice(0, -1)]) {
      expect(() => readCrl(der, issuer, other)).toThrow('distribution point')
    }
  })

  test('of OpenSSL', () => {
    const file = scratch()
    const config = file(
      'ca.cnf',
      `[ca]\ndefault_ca=d\n[d]\ndatabase=${file('index')}\ncrlnumber=${file('number', '0a\n')}\ndefault_md=sha384\ndefault_crl_days=1\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n`,
    )
    file('index', `R\t301231235959Z\t261125000000Z,keyCompromise\t0A1B2C\tunknown\t/CN=x\n`)
    const key = rsaPair()
    const other = testCa(now, { issuingKeys: key })
    const args = [
      '-keyfile',
      file('key', key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()),
      '-cert',
      file('cert', other.issuing.pem),
    ]
    const pem = opensslOutput(['ca', '-gencrl', '-config', config, ...args])
    const der = Buffer.from(pem.replace(/-----.*-----/g, ''), 'base64')
    expect([...readCrl(der, new X509Certificate(other.issuing.pem)).serials]).toEqual(['a1b2c'])
  })
})

describe('refuses a CRL', () => {
  const refuse = (der: Buffer, by = issuer): string => {
    try {
      readCrl(der, by)
    } catch (error) {
      expect(error).toBeInstanceOf(DerError)
      return (error as Error).message
    }
    return expect.fail('it was taken')
  }

  test('of another key, of the root, or of a key that may sign no CRL', () => {
    const other = testCa(now)
    expect(refuse(buildCrl({ ...parts, issuer: { ...ca.issuing, signer: other.issuing.signer } }).der)).toContain(
      'signature',
    )
    expect(refuse(buildCrl({ ...parts, issuer: ca.root }).der)).toContain('signature')
    expect(refuse(good, leafOf(issue(ca)))).toContain('may not sign CRLs')
  })

  test('of another name', () => {
    expect(refuse(buildCrl({ ...parts, issuer: { ...ca.issuing, name: ca.root.name } }).der)).toContain(
      'another issuer',
    )
  })

  test('with any bit changed, cut or added', () => {
    assert(
      property(nat(good.length * 8 - 1), (at) => {
        const bad = Buffer.from(good)
        bad[at >> 3]! ^= 1 << (at & 7)
        refuse(bad)
      }),
      { numRuns: 500 },
    )
    for (let length = 0; length < good.length; length += 7) refuse(good.subarray(0, length))
    refuse(Buffer.concat([good, Buffer.from([0])]))
    assert(property(uint8Array({ maxLength: 64 }), (noise) => void refuse(Buffer.from(noise))))
  })

  /** Signed correctly, with any contents. */
  const sign = (...inside: Asn1[]): Buffer => {
    const tbs = toDer(sequence(inside))
    const { algorithm, sign: by } = ca.issuing.signer
    return toDer(sequence([raw(tbs), algorithm, bitString(by(tbs))]))
  }
  const { algorithm } = ca.issuing.signer
  const head = [integer(1), algorithm, ca.issuing.name, time(now), time(secondsFrom(now, 300))]
  const numbered = (...more: Asn1[]): Asn1 => context(0, [sequence([crlNumber(1n), ...more])])
  const entry = (...more: Asn1[]): Asn1 => sequence([sequence([integer(5), time(now), ...more])])

  test('but accepts a correct one that was built in the same way', () => {
    expect([...readCrl(sign(...head, entry(), numbered()), issuer).serials]).toEqual(['5'])
  })

  test.each([
    ['version 1', () => sign(integer(0), ...head.slice(1), numbered()), 'version'],
    ['no version', () => sign(...head.slice(1), numbered()), 'version'],
    [
      'another algorithm inside',
      () => sign(integer(1), sequence([]), ...head.slice(2), numbered()),
      'algorithms differ',
    ],
    ['no end', () => sign(...head.slice(0, 4), numbered()), 'its end'],
    ['no number', () => sign(...head, entry()), 'no number'],
    // Issuing distribution point: only for some certificates, or of other issuers.
    ['a part of the list', () => sign(...head, numbered(extension('2.5.29.28', true, sequence([])))), 'critical'],
    ['a difference to another', () => sign(...head, numbered(extension('2.5.29.27', true, integer(1)))), 'critical'],
    ['two numbers', () => sign(...head, context(0, [sequence([crlNumber(1n), crlNumber(2n)])])), 'twice'],
    // Certificate issuer: the entry is about a certificate of another issuer.
    [
      'an entry of another issuer',
      () => sign(...head, entry(sequence([extension('2.5.29.29', true, sequence([]))])), numbered()),
      'critical',
    ],
    [
      'a negative serial number',
      () => sign(...head, sequence([sequence([raw(Buffer.from([2, 1, 0x80])), time(now)])]), numbered()),
      'negative',
    ],
    ['an entry without a time', () => sign(...head, sequence([sequence([integer(5)])]), numbered()), 'time'],
    [
      'an entry of more parts',
      () => sign(...head, entry(sequence([extension('2.5.29.21', false, enumerated(1))]), integer(1)), numbered()),
      'three parts',
    ],
    ['parts in another order', () => sign(...head, numbered(), entry()), 'follows'],
    [
      'a longer form of a length',
      () => Buffer.concat([Buffer.from([0x30, 0x83, 0x00]), good.subarray(2)]),
      'shorter form',
    ],
    [
      'an invalid time',
      () =>
        sign(
          ...head.slice(0, 3),
          raw(Buffer.concat([Buffer.from([0x17, 13]), Buffer.from('260631000000Z')])),
          ...head.slice(4),
          numbered(),
        ),
      'not a valid time',
    ],
    ['something else', () => toDer(octetString(Buffer.from('hello'))), 'missing'],
  ])('%s', (_, make, reason) => {
    expect(refuse(make())).toContain(reason)
  })
})

describe('a certificate', () => {
  test('states its CRL URL, its key usage, and whether it is a CA', () => {
    const leaf = leafOf(issue(ca, undefined, { crlUrl: 'https://purser.example.org/crl/key_1' }))
    expect(fieldsOf(leaf)).toMatchObject({
      crlUrl: 'https://purser.example.org/crl/key_1',
      isCa: false,
      keyUsage: { signsCertificates: false, signsCrls: false },
    })
    expect(fieldsOf(issuer)).toMatchObject({
      crlUrl: 'http://purser.test/crl/root',
      isCa: true,
      keyUsage: { signsCertificates: true, signsCrls: true },
    })
    expect(openssl(['x509', '-noout', '-subject'], issuer.toString()).output).toContain('issuing')
    expect(fieldsOf(leafOf(issue(ca))).crlUrl).toBeUndefined()
  })

  test('that Node does not call a CA is one by its basic constraints', () => {
    const leaf = leafOf(issue(ca, undefined, { isCa: true }))
    expect([leaf.ca, fieldsOf(leaf).isCa]).toEqual([false, true])
  })
})
