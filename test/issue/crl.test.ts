import { describe, expect, test } from 'vitest'
import { buildCrl } from '../../src/issue/crl.ts'
import { openssl, opensslOutput, scratch } from '../support/openssl.ts'
import { ecPair, edPair, newSerial, rsaPair, secondsFrom, testCa } from '../support/test-ca.ts'

const now = new Date()
const thisUpdate = secondsFrom(now, -60)
const nextUpdate = secondsFrom(now, 3600)
const { root, issuing } = testCa(now)
const reasons = [
  'keyCompromise',
  'cACompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'privilegeWithdrawn',
] as const
const show = (pem: string): string => opensslOutput(['crl', '-noout', '-text'], pem)

test.each([
  ['EC', ecPair()],
  ['RSA', rsaPair()],
  ['Ed25519', edPair()],
])('openssl verifies its signature: %s', (_, issuingKeys) => {
  const ca = testCa(now, { issuingKeys })
  const { pem } = buildCrl({ issuer: ca.issuing, number: 1n, thisUpdate, nextUpdate, revoked: [] })
  const file = scratch()('ca.pem', ca.issuing.pem)
  expect(openssl(['crl', '-noout', '-verify', '-CAfile', file], pem).output).toContain('verify OK')
  const other = scratch()('root.pem', ca.root.pem)
  expect(openssl(['crl', '-noout', '-verify', '-CAfile', other], pem).output).not.toContain('verify OK')
})

test('an empty one has no list, as RFC 5280 requires', () => {
  const { pem } = buildCrl({ issuer: issuing, number: 7n, thisUpdate, nextUpdate, revoked: [] })
  expect(show(pem)).toContain('Version 2 (0x1)')
  expect(show(pem)).toContain('No Revoked Certificates.')
  expect(show(pem)).toMatch(/X509v3 CRL Number:\s+7\n/)
  expect(show(pem)).toContain('X509v3 Authority Key Identifier')
})

test('serials, times and reasons are shown unchanged', () => {
  const revoked = reasons.map((reason, i) => ({ serial: newSerial(), at: secondsFrom(thisUpdate, -i), reason }))
  const plain = { serial: newSerial(), at: new Date('2026-01-02T03:04:05Z') }
  const { pem } = buildCrl({ issuer: issuing, number: 2n ** 70n, thisUpdate, nextUpdate, revoked: [plain, ...revoked] })
  const output = show(pem)
  for (const { serial } of [plain, ...revoked]) expect(output).toContain(serial.toString('hex').toUpperCase())
  expect(output).toContain('Revocation Date: Jan  2 03:04:05 2026 GMT')
  expect(output.match(/X509v3 CRL Reason Code:\s+(.+)/g)).toHaveLength(reasons.length)
  for (const words of [
    'Key Compromise',
    'CA Compromise',
    'Superseded',
    'Cessation Of Operation',
    'Privilege Withdrawn',
  ]) {
    expect(output).toContain(words)
  }
  expect(opensslOutput(['crl', '-noout', '-crlnumber'], pem)).toContain((2n ** 70n).toString(16).toUpperCase())
})

test('DER and PEM are the same CRL', () => {
  const { der, pem } = buildCrl({ issuer: root, number: 1n, thisUpdate, nextUpdate, revoked: [] })
  const file = scratch()('crl.der', der)
  expect(opensslOutput(['crl', '-inform', 'DER', '-in', file])).toBe(pem)
})

test('ten thousand serials', () => {
  const revoked = Array.from({ length: 10_000 }, () => ({ serial: newSerial(), at: thisUpdate }))
  const { pem } = buildCrl({ issuer: issuing, number: 1n, thisUpdate, nextUpdate, revoked })
  expect(show(pem).match(/Serial Number:/g)).toHaveLength(10_000)
})

describe('refused', () => {
  test.each([[thisUpdate], [secondsFrom(thisUpdate, -1)], [new Date(Number.NaN)]])('an end of %s', (end) => {
    expect(() => buildCrl({ issuer: issuing, number: 1n, thisUpdate, nextUpdate: end, revoked: [] })).toThrow(
      RangeError,
    )
  })

  test('a negative number', () => {
    expect(() => buildCrl({ issuer: issuing, number: -1n, thisUpdate, nextUpdate, revoked: [] })).toThrow(RangeError)
  })
})
