/** Public keys of others: which of them prove nothing, since anyone can sign as their holder. */
import type { KeyObject } from 'node:crypto'
import { weaknessOfRsa } from './weak-rsa.ts'

/** Larger ones cost more to verify than what they sign is worth. */
const maxRsaBits = 8192

/** Why a key must not be relied on, in words that follow "the key"; nothing where no flaw is known. */
export function weaknessOf(key: KeyObject): string | undefined {
  switch (key.asymmetricKeyType) {
    case 'rsa': {
      const { n, e } = key.export({ format: 'jwk' })
      return weaknessOfRsa(numberOf(n), numberOf(e), maxRsaBits)
    }
    case 'ed25519':
      return isWeakEd25519(bytesOf(key.export({ format: 'jwk' }).x)) ? 'its point is of small order' : undefined
    // OpenSSL refuses a point that is not on its curve when it reads the key.
    case 'ec':
    case 'ed448':
      return undefined
    default:
      return 'it is not of a kind that is taken: use EC, Ed25519 or RSA (rsaEncryption)'
  }
}

const bytesOf = (base64url: string | undefined): Buffer => Buffer.from(base64url ?? '', 'base64url')
const numberOf = (base64url: string | undefined): bigint => BigInt(`0x0${bytesOf(base64url).toString('hex')}`)

const p = (1n << 255n) - 19n
/** Solves `d y^4 + 2 y^2 = 1`: the points of order 8, whose double lies on y = 0. */
const orderEight = 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n
/** The y of every point of edwards25519 (RFC 8032 section 5.1) whose order divides its cofactor of 8. */
const smallOrderY: ReadonlySet<bigint> = new Set([0n, 1n, p - 1n, orderEight, p - orderEight])

/** A point of small order verifies forged signatures; an encoding above p is a second name for a key. */
export function isWeakEd25519(key: Buffer): boolean {
  const littleEndian = BigInt(`0x0${Buffer.from(key.toReversed()).toString('hex')}`)
  const y = littleEndian & ((1n << 255n) - 1n)
  return y >= p || smallOrderY.has(y)
}
