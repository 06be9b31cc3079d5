/** Generated values: of the required length and alphabet, with every character equally likely. */
import { createPrivateKey, createPublicKey, randomBytes, sign, verify } from 'node:crypto'
import { assert, asyncProperty, constantFrom, integer, property, uniqueArray } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type FieldSpecs, checkFields, generateData } from '../../src/secrets/generate.ts'

const make = async (fields: FieldSpecs, current?: Record<string, unknown>) =>
  generateData(fields, current ? { current } : {}, (size) => randomBytes(size))
const printable = Array.from({ length: 94 }, (_, n) => String.fromCharCode(0x21 + n))

describe('refused recipes', () => {
  it('have fewer than 128 random bits, and the error states how many characters suffice', () => {
    const min = {
      alphanumeric: 22,
      'lower-alphanumeric': 25,
      hex: 32,
      digits: 39,
      'url-safe': 22,
      printable: 20,
    } as const
    for (const alphabet of ['alphanumeric', 'lower-alphanumeric', 'hex', 'digits', 'url-safe', 'printable'] as const) {
      const length = min[alphabet]
      expect([alphabet, checkFields({ p: { alphabet, length } }, '/fields')]).toEqual([alphabet, []])
      const [problem] = checkFields({ p: { alphabet, length: length - 1 } }, '/fields')
      expect([alphabet, problem?.pointer, problem?.detail.includes(` ${length} `)]).toEqual([
        alphabet,
        '/fields/p/length',
        true,
      ])
    }
  })

  it('repeat a character, or have an alphabet of one', () => {
    expect(checkFields({ 'a/b~c': { length: 1000, characters: 'abca' } }, '/f')[0]?.pointer).toBe(
      '/f/a~1b~0c/characters',
    )
    expect(checkFields({ p: { length: 1000, characters: 'a' } }, '/f')[0]?.pointer).toBe('/f/p/characters')
  })

  it('are, for any alphabet, exactly those with fewer than 128 bits', () => {
    assert(
      property(
        uniqueArray(constantFrom(...printable), { minLength: 2 }),
        integer({ min: 1, max: 200 }),
        (characters, length) => {
          const fields = { p: { length, characters: characters.join('') } }
          const enough = characters.length ** length >= 2 ** 128
          // As BigInt, because floats cannot represent 2^128 exactly.
          const exactly = BigInt(characters.length) ** BigInt(length) >= 2n ** 128n
          expect(checkFields(fields, '').length === 0).toBe(exactly)
          expect(enough || !exactly).toBe(true)
        },
      ),
    )
  })
})

describe('passwords', () => {
  it('have the requested length and characters, whatever the alphabet', async () => {
    await assert(
      asyncProperty(
        uniqueArray(constantFrom(...printable), { minLength: 2 }),
        integer({ min: 1, max: 300 }),
        async (characters, length) => {
          const { p } = await make({ p: { length, characters: characters.join('') } })
          expect(String(p)).toHaveLength(length)
          expect(Array.from(String(p)).every((character) => characters.includes(character))).toBe(true)
        },
      ),
    )
  })

  it('use every character equally: bytes beyond the last whole multiple are drawn again', async () => {
    // 0 to 255 in turn, repeatedly: with a plain remainder, the first characters would be more frequent.
    let next = 0
    const inTurn = (size: number): Buffer => Buffer.from(Array.from({ length: size }, () => next++ % 256))
    const characters = printable.slice(0, 62).join('')
    const { p } = await generateData({ p: { length: 62 * 4 * 10, characters } }, {}, inTurn)
    const counts = new Map<string, number>()
    for (const character of Array.from(String(p))) counts.set(character, (counts.get(character) ?? 0) + 1)
    expect([counts.size, new Set(counts.values())]).toEqual([62, new Set([40])])
  })

  it('differ each time', async () => {
    const results = await Promise.all(
      Array.from({ length: 50 }, () => make({ p: { length: 32, alphabet: 'alphanumeric' }, id: { uuid: true } })),
    )
    expect(new Set(results.map((data) => data['p'])).size).toBe(50)
    expect(new Set(results.map((data) => data['id'])).size).toBe(50)
  })
})

it('UUIDs are of version 4 (RFC 9562 section 5.4)', async () => {
  const all = [Buffer.alloc(16), Buffer.alloc(16, 255), ...Array.from({ length: 50 }, () => randomBytes(16))]
  for (const bytes of all) {
    const { id } = await generateData({ id: { uuid: true } }, {}, () => bytes)
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  }
})

it.each([
  ['ed25519', null, 'ed25519'],
  ['ec-p256', 'sha256', 'ec'],
  ['rsa-2048', 'sha256', 'rsa'],
] as const)('a key pair %s signs and verifies', async (keyPair, digest, type) => {
  const { pair } = (await make({ pair: { keyPair } })) as { pair: { privateKey: string; publicKey: string } }
  const [privateKey, publicKey] = [createPrivateKey(pair.privateKey), createPublicKey(pair.publicKey)]
  expect(privateKey.asymmetricKeyType).toBe(type)
  const message = Buffer.from('told')
  expect(verify(digest, message, publicKey, sign(digest, message, privateKey))).toBe(true)
})

it('members that no field names stay unchanged', async () => {
  const result = await make({ password: { length: 32, alphabet: 'hex' } }, { user: 'app', password: 'old' })
  expect(result).toEqual({ user: 'app', password: expect.stringMatching(/^[0-9a-f]{32}$/) })
})
