/**
 * RSA from 2048 to 4096 bits with an odd exponent from 65537 to 2^32, both INTEGERs as they stand in DER. Small factors
 * are refused too: whoever sends such a modulus has a broken generator, or wants a key that others can use.
 */
export function isWeakRsa(modulus: Buffer, exponent: Buffer): boolean {
  if (modulus.length > 513 || exponent.length > 5) return true
  if (modulus[0]! >= 0x80 || exponent[0]! >= 0x80) return true
  const n = BigInt(`0x${modulus.toString('hex')}`)
  const e = BigInt(`0x${exponent.toString('hex')}`)
  const bits = n.toString(2).length
  if (bits < 2048 || bits > 4096 || n % 2n === 0n) return true
  if (e < 65_537n || e > 0x1_0000_0000n || e % 2n === 0n) return true
  return hasSmallFactor(n)
}

const smallPrimes = Array.from({ length: 750 }, (_, i) => i + 2).filter((n) => {
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return false
  return true
})
const primorial = smallPrimes.reduce((product, prime) => product * BigInt(prime), 1n)

function hasSmallFactor(n: bigint): boolean {
  const rest = n % primorial
  return smallPrimes.some((prime) => rest % BigInt(prime) === 0n)
}

const p = (1n << 255n) - 19n
/** Solves `d y^4 + 2 y^2 = 1`: the points of order 8, whose double lies on y = 0. */
const orderEight = 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n
/** The y of every point of edwards25519 (RFC 8032 section 5.1) whose order divides its cofactor of 8. */
const smallOrderY: ReadonlySet<bigint> = new Set([0n, 1n, p - 1n, orderEight, p - orderEight])

/** A point of small order verifies signatures that nobody made; an encoding above p is a second name for a key. */
export function isWeakEd25519(key: Buffer): boolean {
  const littleEndian = BigInt(`0x${Buffer.from(key.toReversed()).toString('hex')}`)
  const y = littleEndian & ((1n << 255n) - 1n)
  return y >= p || smallOrderY.has(y)
}
