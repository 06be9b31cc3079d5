import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createKeySet } from '../../src/attest/key-set.ts'
import { weaknessOfRsa } from '../../src/keys/weak-keys.ts'
import { adjacentRsa, rocaRsa, squareRsa } from '../support/weak-rsa.ts'
import { ec, jwkOf, rsa } from './tokens.ts'

/** The modulus is not the product of two primes, which would take long to find at this size. It has no visible flaw. */
function soundModulus(bytes: number): Buffer {
  for (;;) {
    const n = randomBytes(bytes)
    n[0] = 0x80
    if (weaknessOfRsa(BigInt(`0x${n.toString('hex')}`), 65_537n, 8192) === undefined) return n
  }
}

const good = jwkOf(rsa.publicKey, { kid: 'r1', alg: 'RS256' })
const ofSize = (bytes: number, first: number, e = 'AQAB') => {
  const n = Buffer.alloc(bytes, 0xff)
  n[0] = first
  return { kty: 'RSA', n: n.toString('base64url'), e }
}

describe('ignored keys of a JWKS', () => {
  const cases: [string, unknown, string | RegExp][] = [
    ['null', null, 'not an object'],
    ['a list', [good], 'not an object'],
    ['text', 'key', 'not an object'],
    ['a private RSA key', jwkOf(rsa.privateKey), 'private members'],
    ['a private EC key', jwkOf(ec.privateKey), 'private members'],
    ['a private member that is empty', { ...good, d: '' }, 'private members'],
    ['a symmetric key', { kty: 'oct', k: 'c2VjcmV0', alg: 'HS256' }, 'private members'],
    ['a symmetric type without its key', { kty: 'oct', alg: 'HS256' }, 'kty'],
    ['an encryption key', { ...good, use: 'enc' }, 'use'],
    ['operations without verify', { ...good, key_ops: ['encrypt'] }, 'key_ops'],
    ['operations that are no list', { ...good, key_ops: 'verify' }, 'key_ops'],
    ['a kid that is a number', { ...good, kid: 1 }, 'kid'],
    ['a kid of 513 characters', { ...good, kid: 'k'.repeat(513) }, 'kid'],
    ['no kty', { ...good, kty: undefined }, 'kty'],
    ['a kty of the newest kind', { kty: 'AKP', alg: 'ML-DSA-65', pub: 'AA' }, 'kty'],
    ['a kty of prototypes', { kty: '__proto__' }, 'kty'],
    ['secp256k1', { kty: 'EC', crv: 'secp256k1', x: 'AA', y: 'AA' }, 'curve'],
    ['a curve of prototypes', { kty: 'EC', crv: 'constructor', x: 'AA', y: 'AA' }, 'curve'],
    ['Ed448', { kty: 'OKP', crv: 'Ed448', x: 'AA' }, 'curve'],
    ['Ed25519 as EC', { kty: 'EC', crv: 'Ed25519', x: 'AA', y: 'AA' }, 'curve'],
    ['HS256 on an RSA key', { ...good, alg: 'HS256' }, 'alg'],
    ['ES256 on an RSA key', { ...good, alg: 'ES256' }, 'alg'],
    ['none on an RSA key', { ...good, alg: 'none' }, 'alg'],
    ['ES384 on P-256', jwkOf(ec.publicKey, { alg: 'ES384' }), 'alg'],
    ['an alg that is a list', { ...good, alg: ['RS256'] }, 'alg'],
    ['a point that is not on its curve', { kty: 'EC', crv: 'P-256', x: jwkOf(ec.publicKey).x, y: jwkOf(ec.publicKey).x }, 'imported'],
    ['a point with a missing half', { kty: 'EC', crv: 'P-256', x: jwkOf(ec.publicKey).x }, 'imported'],
    ['2,047 bits', ofSize(256, 0x7f), 'RSA'],
    ['8,193 bits', ofSize(1025, 0x01), 'RSA'],
    ['a modulus with a zero before it', ofSize(257, 0x00), 'RSA'],
    ['an even modulus', { ...good, n: Buffer.alloc(256, 0xfe).toString('base64url') }, 'RSA'],
    ['a modulus that is not base64url', { ...good, n: '+/==' }, 'RSA'],
    ['e = 1', { ...good, e: 'AQ' }, 'RSA'],
    ['e = 3', { ...good, e: 'Aw' }, 'RSA'],
    ['an even e', { ...good, e: 'AQAA' }, 'RSA'],
    ['the fingerprint of ROCA', rocaRsa().jwk, 'ROCA'],
    ['a modulus that is a square', squareRsa().jwk, 'too close'],
    ['adjacent primes', adjacentRsa().jwk, 'too close'],
    ['a modulus with a small factor', ofSize(256, 0x80), 'small factor'],
    ['an Ed25519 point of small order', { kty: 'OKP', crv: 'Ed25519', x: Buffer.alloc(32).toString('base64url') }, 'small order'],
    ['an e of nine bytes', { ...good, e: Buffer.alloc(9, 1).toString('base64url') }, 'RSA'],
  ] // prettier-ignore

  it.each(cases)('%s', async (_, jwk, reason) => {
    const { usable, ignored } = await createKeySet([jwk, good])
    expect(usable).toBe(1)
    expect(ignored).toHaveLength(1)
    expect(ignored[0]?.why).toMatch(reason)
  })

  it('2,048 and 8,192 bits are the accepted limits', async () => {
    const { usable } = await createKeySet(
      [256, 1024].map((bytes) => ({ kty: 'RSA', n: soundModulus(bytes).toString('base64url'), e: 'AQAB' })),
    )
    expect(usable).toBe(2)
  })

  it('the hundred-and-first key', async () => {
    const { usable, ignored } = await createKeySet(Array.from({ length: 103 }, () => good))
    expect([usable, ignored.length]).toEqual([100, 3])
  })

  it('the log names an ignored kid, cut to a maximum length', async () => {
    const { ignored } = await createKeySet([{ kty: 'oct', kid: 'x'.repeat(500) }])
    expect(ignored[0]?.kid).toHaveLength(64)
  })
})

describe('the key that verifies', () => {
  const names = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']
  const served = async (jwk: Record<string, unknown>, allowed?: string[]): Promise<string[]> => {
    const set = await createKeySet([jwk], allowed)
    const supported = await Promise.all(names.map(async (alg) => ((await set.find(undefined, alg)) ? [alg] : [])))
    return supported.flat()
  }

  it('each key has one algorithm: the one that it names, or else the default of its type', async () => {
    expect(await served(jwkOf(rsa.publicKey))).toEqual(['RS256'])
    expect(await served(jwkOf(rsa.publicKey, { alg: 'PS384' }))).toEqual(['PS384'])
    expect(await served(jwkOf(ec.publicKey))).toEqual(['ES256'])
    for (const [curve, alg] of [['P-384', 'ES384'], ['P-521', 'ES512']] as const) {
      const { publicKey } = generateKeyPairSync('ec', { namedCurve: curve })
      expect(await served(jwkOf(publicKey))).toEqual([alg])
    }
    expect(await served(jwkOf(generateKeyPairSync('ed25519').publicKey))).toEqual(['EdDSA'])
  }) // prettier-ignore

  it('an RSA key without alg has those that an operator listed', async () => {
    expect(await served(jwkOf(rsa.publicKey), ['PS256', 'RS512', 'ES256'])).toEqual(['RS512', 'PS256'])
  })

  it('two matching keys are refused as ambiguous', async () => {
    const other = jwkOf(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey, { kid: 'r2' })
    const set = await createKeySet([good, other, { ...other, kid: 'same' }, { ...good, kid: 'same' }])
    expect(await set.find(undefined, 'RS256')).toBeUndefined()
    expect(await set.find('same', 'RS256')).toBeUndefined()
    expect(await set.find('r1', 'RS256')).toBeDefined()
    expect(await set.find('R1', 'RS256')).toBeUndefined()
    expect(await set.find('', 'RS256')).toBeUndefined()
  })

  it('one kid of two types is resolved by the algorithm', async () => {
    const set = await createKeySet([{ ...good, kid: 'k' }, jwkOf(ec.publicKey, { kid: 'k' })])
    expect(await set.find('k', 'ES256')).not.toBe(await set.find('k', 'RS256'))
  })
})
