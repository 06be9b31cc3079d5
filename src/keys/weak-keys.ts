/** Public keys of others: which of them prove nothing, since anyone can sign as their holder. */
import type { KeyObject } from 'node:crypto'

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

/** RSA moduli that can be factored from the public key alone: the flaws that CAs must look for (CA/B BR section 6.1.1.3). */

const primesBelow = (limit: number): number[] =>
  Array.from({ length: limit - 2 }, (_, i) => i + 2).filter((n) => {
    for (let d = 2; d * d <= n; d++) if (n % d === 0) return false
    return true
  })
const productOf = (primes: readonly number[]): bigint => primes.reduce((product, prime) => product * BigInt(prime), 1n)

const smallPrimes = primesBelow(752)
const smallProduct = productOf(smallPrimes)

/**
 * The library behind ROCA (CVE-2017-15361) makes primes that are powers of 65537 modulo each of these, and so are their
 * products. A modulus of random primes is such a power modulo all 39 once in 2^27.
 */
const rocaPrimes = primesBelow(168)
const rocaProduct = productOf(rocaPrimes)
const rocaPowers = rocaPrimes.map((prime) => {
  const powers = new Set<number>()
  for (let power = 1; !powers.has(power); power = (power * 65_537) % prime) powers.add(power)
  return powers
})

/** Fermat's method factors a modulus in so many steps only where its primes agree in about half of their bits. */
const maxFermatSteps = 100

export function bitsOf(n: bigint): number {
  const hex = n.toString(16)
  return hex.length * 4 - Math.clz32(Number.parseInt(hex[0] ?? '0', 16)) + 28
}

/** Why a modulus and exponent must not be relied on; nothing where no flaw is known. */
export function weaknessOfRsa(n: bigint, e: bigint, maxBits: number): string | undefined {
  const bits = bitsOf(n)
  if (bits < 2048 || bits > maxBits) return `its RSA modulus must have 2048 to ${maxBits} bits`
  if (e < 65_537n || e % 2n === 0n) return 'its RSA exponent must be odd and at least 65537'
  if (hasSmallFactor(n)) return 'its RSA modulus has a small factor'
  if (hasRocaFingerprint(n)) return 'its RSA modulus has the fingerprint of ROCA, CVE-2017-15361'
  if (hasClosePrimes(n)) return 'its RSA modulus is a square, or the product of two primes that are too close'
  return undefined
}

function hasSmallFactor(n: bigint): boolean {
  const rest = n % smallProduct
  return smallPrimes.some((prime) => rest % BigInt(prime) === 0n)
}

function hasRocaFingerprint(n: bigint): boolean {
  const rest = n % rocaProduct
  return rocaPrimes.every((prime, i) => rocaPowers[i]?.has(Number(rest % BigInt(prime))))
}

function hasClosePrimes(n: bigint): boolean {
  let middle = squareRoot(n)
  if (middle * middle === n) return true
  middle += 1n
  let rest = middle * middle - n
  for (let step = 0; step < maxFermatSteps; step++) {
    if (isSquare(rest)) return true
    rest += 2n * middle + 1n
    middle += 1n
  }
  return false
}

/** Rounded down, by Newton's method from above. */
export function squareRoot(n: bigint): bigint {
  if (n < 2n) return n
  let root = 1n << BigInt((bitsOf(n) + 1) >> 1)
  for (;;) {
    const next = (root + n / root) >> 1n
    if (next >= root) return root
    root = next
  }
}

/** Squares are rare among remainders, which are cheap to look at: one number in 200 needs its root. */
const filters = [64, 63, 65, 11, 17, 19, 23].map((modulus) => ({
  modulus: BigInt(modulus),
  squares: new Set(Array.from({ length: modulus }, (_, i) => (i * i) % modulus)),
}))
const filterProduct = filters.reduce((product, { modulus }) => product * modulus, 1n)

function isSquare(n: bigint): boolean {
  const rest = n % filterProduct
  if (!filters.every(({ modulus, squares }) => squares.has(Number(rest % modulus)))) return false
  const root = squareRoot(n)
  return root * root === n
}
