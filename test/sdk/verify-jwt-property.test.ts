/** Any token and any claims are refused with a PurserError, or are read as every other reader reads them. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PurserError } from '@purser/sdk'
import { readStrictObject } from '../../sdk/src/json/strict.ts'
import { parseStrict } from '../../src/json/strict.ts'
import { createVerifier, good, header, signed, token } from './signed-tokens.ts'

const payments = { audience: 'payments' }
const outcome = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'accepted',
    (error: unknown) => (error instanceof PurserError ? error.code : error),
  )

describe('a token', () => {
  const verifier = createVerifier()
  const whole = token()

  test('with any one character changed is refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.string({ minLength: 1, maxLength: 1 }), async (at, by) => {
        fc.pre(whole[at] !== by)
        expect(await outcome(verifier.verifyJwt(whole.slice(0, at) + by + whole.slice(at + 1), payments))).toBe(
          'bad_token',
        )
      }),
      { numRuns: 500 },
    )
  })

  test('of any text is refused', async () => {
    const part = fc.oneof(
      fc.string(),
      fc.base64String(),
      fc.json().map((text) => Buffer.from(text).toString('base64url')),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 5 }), async (parts) => {
        expect(await outcome(verifier.verifyJwt(parts.join('.'), payments))).toBe('bad_token')
      }),
      { numRuns: 1_000 },
    )
  })

  test('of any header and claims, truly signed, is refused or yields its contents', async () => {
    const json = fc.jsonValue()
    const claim = fc.constantFrom('sub', 'aud', 'exp', 'iat', 'nbf', 'jti', 'constructor', 'other')
    await fc.assert(
      fc.asyncProperty(fc.dictionary(claim, json), fc.dictionary(fc.string(), json), async (claims, more) => {
        const token = signed({ ...more, ...header }, { ...good, ...claims })
        const result: unknown = await verifier.verifyJwt(token, payments).catch((error: unknown) => error)
        const failed = result instanceof PurserError
        if (failed) expect(result.code).toBe('bad_token')
        if (failed) return
        expect(Object.keys(more).every((name) => name in header)).toBe(true)
        expect(result).toMatchObject({ spiffeId: good.sub, audience: expect.arrayContaining(['payments']) as unknown })
      }),
      { numRuns: 500 },
    )
  })
})

describe('strict JSON', () => {
  /** Objects as text with repeated names, also in other spellings. */
  const name = fc.constantFrom('a', 'b', '\\u0061', '__proto__', 'constructor', '\\ud800', 'é', '"'.replace('"', '\\"'))
  const { value } = fc.letrec<{ value: string; object: string }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(
        '1',
        '-0',
        '1.5',
        '1e2',
        '9007199254740993',
        '1e999',
        'true',
        'null',
        '"x"',
        '"\\ud800"',
        '":"',
        '"{"',
        '"\\\\"',
        '01',
        '',
      ),
      tie('object'),
      fc.array(tie('value'), { maxLength: 3 }).map((all) => `[${all.join(',')}]`),
    ),
    object: fc
      .array(fc.tuple(name, tie('value'), fc.constantFrom('', ' ', '\n')), { maxLength: 4 })
      .map((all) => `{${all.map(([key, value, space]) => `"${key}"${space}:${space}${value}`).join(',')}}`),
  }))

  const theirs = (text: string): unknown => {
    try {
      return parseStrict(text, { maxDepth: 16 })
    } catch {
      return undefined
    }
  }

  test('reads and refuses the same as the server’s own reader', () => {
    let read = 0
    fc.assert(
      fc.property(value, (text) => {
        const expected = text.startsWith('{') ? theirs(text) : undefined
        const object = readStrictObject(Buffer.from(text))
        expect(object).toEqual(expected)
        if (object) read++
      }),
      { numRuns: 5_000 },
    )
    expect(read).toBeGreaterThan(100)
  })
})
