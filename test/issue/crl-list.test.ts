/** The entries of a CRL that are updated one by one, compared with a CRL that is built at once. */
import { array, assert, asyncProperty, constantFrom, integer, oneof, record, uint8Array } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CrlEntries, type RevokedCertificate } from '../../src/issue/crl-entries.ts'
import { CrlList } from '../../src/issue/crl-list.ts'
import { crlShardOf, crlShards } from '../../src/issue/crl-shards.ts'
import { buildCrl, signCrl } from '../../src/issue/crl.ts'
import { opensslOutput, scratch } from '../support/openssl.ts'
import { edPair, newSerial, rsaPair, secondsFrom, testCa } from '../support/test-ca.ts'

const start = new Date('2026-11-27T00:00:00Z')
/** Ed25519 signatures are deterministic. */
const ca = testCa(start, { issuingKeys: edPair() })
const head = { issuer: ca.issuing, number: 7n, thisUpdate: start, nextUpdate: secondsFrom(start, 900) }
const never = secondsFrom(start, 1_000_000)

type Act = { add: RevokedCertificate; until: Date } | { passMinutes: number }
const acts = array(
  oneof(
    record({
      add: record(
        {
          serial: uint8Array({ minLength: 1, maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
          at: integer({ min: 0, max: 3_000 }).map((seconds) => secondsFrom(start, seconds)),
          reason: constantFrom('keyCompromise', 'superseded', 'privilegeWithdrawn'),
        },
        { requiredKeys: ['serial', 'at'] },
      ),
      until: integer({ min: 0, max: 6_000 }).map((seconds) => secondsFrom(start, seconds)),
    }),
    record({ passMinutes: integer({ min: 1, max: 40 }) }),
  ),
  { maxLength: 60 },
)

describe('entries that are updated', () => {
  test('yield the CRL that is built at once, whole and in shards, after any additions and removals', async () => {
    await assert(
      asyncProperty(acts, integer({ min: 0, max: 60 }), async (list: Act[], split) => {
        const updated = new CrlList()
        const later = new CrlList()
        const expected: { revoked: RevokedCertificate; until: Date }[] = []
        let now = start
        for (const [n, act] of list.entries()) {
          if ('passMinutes' in act) {
            now = secondsFrom(now, act.passMinutes * 60)
            updated.contentOf('whole', now)
          } else if (act.until > now) {
            const target = n < split ? updated : later
            target.add(act.add, act.until)
            expected.push({ revoked: act.add, until: act.until })
          }
        }
        updated.append(later)
        const current = expected.filter(({ until }) => until > now).map(({ revoked }) => revoked)
        for (const scope of ['whole', ...Array(crlShards).keys()] as const) {
          const inScope = current.filter(({ serial }) => scope === 'whole' || crlShardOf(serial) === scope)
          const { entries, count, lastAt } = updated.contentOf(scope, now)
          expect(count).toBe(inScope.length)
          expect(lastAt).toBeGreaterThanOrEqual(Math.max(0, ...inScope.map(({ at }) => at.getTime())))
          // The order of entries is that of shards, and within a shard that of the additions.
          const inOrder = inScope.toSorted((a, b) => crlShardOf(a.serial) - crlShardOf(b.serial))
          const expectedDer = buildCrl({ ...head, revoked: inOrder }).der
          expect((await signCrl(head, entries)).equals(expectedDer)).toBe(true)
        }
      }),
      { numRuns: 60 },
    )
  })

  test.each([
    ['empty', Buffer.alloc(0)],
    ['longer than RFC 5280 allows', Buffer.alloc(21, 1)],
  ])('refuse a serial number that is %s', (_, serial) => {
    expect(() => new CrlEntries().add({ serial, at: start }, never)).toThrow(RangeError)
  })

  test('refuse a time that a certificate cannot express', () => {
    const add = (at: Date) => () => new CrlEntries().add({ serial: newSerial(), at }, never)
    expect(add(new Date(Number.NaN))).toThrow(RangeError)
    expect(add(new Date('1949-12-31T23:59:59Z'))).toThrow(RangeError)
  })

  test('keep a certificate until the second after its end', () => {
    const entries = new CrlEntries()
    entries.add({ serial: newSerial(), at: start }, secondsFrom(start, 10.4))
    entries.forget(secondsFrom(start, 10.4))
    expect(entries.count).toBe(1)
    entries.forget(secondsFrom(start, 11))
    expect([entries.count, entries.bytes.length]).toEqual([0, 0])
  })

  test('encode dates from 2050 on as GeneralizedTime', () => {
    const { pem } = buildCrl({ ...head, revoked: [{ serial: newSerial(), at: new Date('2050-01-01T00:00:00Z') }] })
    expect(opensslOutput(['crl', '-noout', '-text'], pem)).toContain('Revocation Date: Jan  1 00:00:00 2050 GMT')
  })
})

describe('a shard', () => {
  const url = 'https://purser.example.org/crl/key_1/5'

  test('has a critical distribution point, which OpenSSL reads', async () => {
    const der = await signCrl({ ...head, point: url }, [])
    const text = opensslOutput(['crl', '-inform', 'DER', '-in', scratch()('crl.der', der), '-noout', '-text'])
    expect(text).toMatch(/X509v3 Issuing Distribution Point: critical\s+Full Name:\s+URI:https:\/\/purser/)
    expect(text).not.toContain('Only')
  })

  test('of many is selected by the last byte of a random serial number', () => {
    const sizes = new Map<number, number>()
    for (let n = 0; n < 64_000; n++) {
      const shard = crlShardOf(newSerial())
      sizes.set(shard, (sizes.get(shard) ?? 0) + 1)
    }
    expect(sizes.size).toBe(crlShards)
    expect(Math.max(...sizes.values())).toBeLessThan(1_250)
  })
})

test('RSA keys sign in the thread pool too', async () => {
  const issuer = testCa(start, { issuingKeys: rsaPair() }).issuing
  const der = await signCrl({ ...head, issuer }, [])
  const expected = buildCrl({ ...head, issuer, revoked: [] })
  expect(der.equals(expected.der)).toBe(true)
})
