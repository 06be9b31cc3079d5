/** Wrong options and environment: the error comes before anything is sent. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { type ConnectOptions, PurserError, connect } from '@purser/sdk'
import { afterAll, describe, expect, test } from 'vitest'
import { admitProof } from '../../sdk/src/proof/admit.ts'
import { readFingerprint } from '../../sdk/src/certificates/certificates.ts'
import { readAddress } from '../../sdk/src/connection/address.ts'

const dir = mkdtempSync(join(tmpdir(), 'purser-options-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))
const file = (name: string, text: string): string => {
  writeFileSync(join(dir, name), text)
  return join(dir, name)
}

const addr = 'https://127.0.0.1:1'
const wrongType = (value: unknown): ConnectOptions => value as ConnectOptions

describe('options', () => {
  test.each<[string, ConnectOptions, RegExp]>([
    ['no address', { env: {} }, /PURSER_ADDR/],
    ['an empty address', { env: { PURSER_ADDR: '' } }, /PURSER_ADDR/],
    ['a misspelt option', wrongType({ addr, adress: 'x', env: {} }), /adress/],
    [
      'an empty file of roots',
      { env: { PURSER_ADDR: addr, PURSER_CA_FILE: file('empty.pem', '') } },
      /no readable PEM/,
    ],
    [
      'a file of no certificates',
      { env: { PURSER_ADDR: addr, PURSER_CA_FILE: file('text.pem', 'hello') } },
      /no readable PEM/,
    ],
    ['a missing file of roots', { env: { PURSER_ADDR: addr, PURSER_CA_FILE: join(dir, 'none') } }, /can't be read/],
    ['no roots in the option', { addr, ca: { pem: '' }, env: {} }, /no readable PEM/],
    ['no fingerprint', { addr, ca: { sha256: [] }, env: {} }, /no fingerprint/],
    ['a fingerprint of another length', { env: { PURSER_ADDR: addr, PURSER_CA_SHA256: 'ab:cd' } }, /64 hex digits/],
    ['a good fingerprint beside a bad one', { addr, ca: { sha256: ['0'.repeat(64), 'x'] }, env: {} }, /64 hex digits/],
    [
      'two kinds of roots',
      { env: { PURSER_ADDR: addr, PURSER_CA_FILE: 'a', PURSER_CA_SHA256: '0'.repeat(64) } },
      /both set/,
    ],
    [
      'an invalid key of the log',
      { env: { PURSER_ADDR: addr, PURSER_LOG_KEY: 'example.org/log/1+00000000+AQ==' } },
      /verifier key/,
    ],
    ['an invalid mode of receipts', wrongType({ addr, receipts: 'maybe', env: {} }), /receipts/],
    ['no time', { addr, timeoutMs: 0, env: {} }, /timeoutMs/],
  ])('%s', async (_, options, words) => {
    const error: unknown = await connect(options).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ name: 'PurserError', code: 'bad_options' })
    expect((error as PurserError).message).toMatch(words)
  })

  test('aborted before the start', async () => {
    await expect(connect({ addr, env: {}, signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' })
  })
})

describe('addresses', () => {
  test.each([
    ['purser.example.org:8443'],
    ['ftp://purser.example.org'],
    ['https://user:pass@purser.example.org'],
    ['https://purser.example.org/base'],
    ['https://purser.example.org?x=1'],
    ['http://purser.example.org'],
    ['http://127.0.0.1.nip.io'],
    ['http://[::ffff:7f00:1]'],
    ['http://0.0.0.0'],
  ])('%s is refused', (text) => {
    expect(() => readAddress(text, true)).toThrow(expect.objectContaining({ code: 'bad_options' }))
  })

  test.each([
    ['https://purser.example.org', { tls: true, host: 'purser.example.org', port: 443 }],
    ['https://[::1]:8443/', { tls: true, host: '::1', port: 8443, origin: 'https://[::1]:8443' }],
    ['http://127.8.0.1:80', { tls: false, host: '127.8.0.1', port: 80 }],
    // The URL standard reads this host as 127.0.0.1.
    ['http://0x7f.1', { tls: false, host: '127.0.0.1', port: 80 }],
  ])('%s', (text, address) => {
    expect(readAddress(text, true)).toMatchObject(address)
  })
})

test('a fingerprint is accepted in the formats of openssl and in common notations, and in no other', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
      const hex = Buffer.from(bytes).toString('hex')
      const colons = (hex.match(/../g) ?? []).join(':').toUpperCase()
      for (const form of [hex, colons, `sha256:${hex}`, `SHA256=${colons}`]) expect(readFingerprint(form)).toBe(hex)
    }),
  )
  const place = fc.nat({ max: 63 })
  fc.assert(
    fc.property(place, fc.constantFrom('', 'g', ' ', '\n', 'é', '00'), (at, replacement) => {
      const good = 'a1'.repeat(32)
      expect(readFingerprint(good.slice(0, at) + replacement + good.slice(at + 1))).toBeUndefined()
    }),
  )
})

describe('the audience of a proof', () => {
  const jws = (claims: unknown): string => `e30.${Buffer.from(JSON.stringify(claims) ?? '').toString('base64url')}.c2ln`

  test('a proof is accepted only if it names one of ours', () => {
    const ours = ['https://purser.example.org', 'purser']
    const some = fc.oneof(fc.constantFrom(...ours, 'sts.amazonaws.com', 'Purser', 'purser '), fc.jsonValue())
    fc.assert(
      fc.property(fc.oneof(some, fc.array(some)), fc.dictionary(fc.string(), fc.jsonValue()), (aud, more) => {
        const isForPurser = (Array.isArray(aud) ? aud : [aud]).some((value) => value === ours[0] || value === ours[1])
        const token = jws({ ...more, aud })
        if (isForPurser) expect(admitProof(` ${token}\n`, ours, 'it')).toEqual({ kind: 'jwt', token })
        else expect(() => admitProof(token, ours, 'it')).toThrow(expect.objectContaining({ code: 'wrong_audience' }))
      }),
    )
  })

  test('any text is accepted as a proof or refused with a PurserError', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((payload) => `e30.${Buffer.from(payload).toString('base64url')}.c2ln`),
        ),
        (text) => {
          try {
            admitProof(text, ['purser'], 'it')
          } catch (error) {
            expect(error).toBeInstanceOf(PurserError)
          }
        },
      ),
    )
  })

  test('a join token needs no audience', () => {
    const token = `purser_join_${'a'.repeat(43)}`
    expect(admitProof(token, ['purser'], 'it')).toEqual({ kind: 'join-token', token })
  })
})
