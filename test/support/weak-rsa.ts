/** RSA keys that can be factored, each of a flawed generator, with signatures that verify. */
import {
  type KeyObject,
  checkPrimeSync,
  createHash,
  createPrivateKey,
  generatePrimeSync,
  randomBytes,
} from 'node:crypto'
import { nothing, octetString, oid, sequence, toDer } from '../../src/keys/asn1.ts'

export type WeakRsa = {
  n: bigint
  e: bigint
  /** PKCS #1 v1.5 over SHA-256 (RFC 8017 section 8.2.1). */
  sign: (message: Buffer) => Buffer
  jwk: { kty: 'RSA'; n: string; e: string }
}

const e = 65_537n
const modulusBytes = 256

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n
  let square = base % modulus
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % modulus
    square = (square * square) % modulus
  }
  return result
}

/** By the extended Euclidean algorithm. */
function inverse(value: bigint, modulus: bigint): bigint {
  let [a, b, x, y] = [value % modulus, modulus, 1n, 0n]
  while (a > 1n) {
    const quotient = a / b
    ;[a, b, x, y] = [b, a % b, y, x - quotient * y]
  }
  return x < 0n ? x + modulus : x
}

const bytesOf = (value: bigint, length?: number): Buffer => {
  const hex = value.toString(16)
  return Buffer.from(hex.padStart(length === undefined ? hex.length + (hex.length % 2) : 2 * length, '0'), 'hex')
}
const base64url = (value: bigint): string => bytesOf(value).toString('base64url')

function weakRsa(n: bigint, totient: bigint): WeakRsa {
  const d = inverse(e, totient)
  const sha256 = sequence([oid('2.16.840.1.101.3.4.2.1'), nothing()])
  return {
    n,
    e,
    jwk: { kty: 'RSA', n: base64url(n), e: base64url(e) },
    sign(message) {
      const info = toDer(sequence([sha256, octetString(createHash('sha256').update(message).digest())]))
      const padding = Buffer.alloc(modulusBytes - 3 - info.length, 0xff)
      const padded = Buffer.concat([Buffer.of(0, 1), padding, Buffer.of(0), info])
      return bytesOf(power(BigInt(`0x${padded.toString('hex')}`), d, n), modulusBytes)
    },
  }
}

const ofPrimes = (p: bigint, q: bigint): WeakRsa => weakRsa(p * q, (p - 1n) * (q - 1n))

/** 1,024 bits, the two highest set, so that a product of two has 2,048. */
const prime = (): bigint => generatePrimeSync(1024, { bigint: true })

function nextPrime(from: bigint): bigint {
  let candidate = from + 2n
  while (!checkPrimeSync(candidate)) candidate += 2n
  return candidate
}

/** The modulus is the square of a prime. */
export function squareRsa(): WeakRsa {
  const p = prime()
  return weakRsa(p * p, p * (p - 1n))
}

/** The second prime is the next one after the first. */
export function adjacentRsa(): WeakRsa {
  const p = prime()
  return ofPrimes(p, nextPrime(p))
}

const smallPrimes = Array.from({ length: 700 }, (_, i) => i + 2).filter((n) => {
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return false
  return true
})

/** Like the library behind CVE-2017-15361, generates primes of 1,024 bits: `k * M + (65537^a mod M)`, M a product of 126 primes. */
function rocaPrime(): bigint {
  const product = smallPrimes.slice(0, 126).reduce((all, prime) => all * BigInt(prime), 1n)
  const top = 3n << 1022n
  for (;;) {
    const exponent = BigInt(`0x${randomBytes(8).toString('hex')}`)
    const k = top / product + 1n + BigInt(`0x${randomBytes(5).toString('hex')}`)
    const candidate = k * product + power(e, exponent, product)
    if (checkPrimeSync(candidate)) return candidate
  }
}

export const rocaRsa = (): WeakRsa => ofPrimes(rocaPrime(), rocaPrime())

/** A private key of two different primes, in the format of OpenSSL. */
export function rocaPrivateKey(): KeyObject {
  const [p, q] = [rocaPrime(), rocaPrime()]
  const d = inverse(e, (p - 1n) * (q - 1n))
  const numbers = { n: p * q, e, d, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qi: inverse(q, p) }
  const members = Object.entries(numbers).map(([name, value]) => [name, base64url(value)] as const)
  return createPrivateKey({ key: { kty: 'RSA', ...Object.fromEntries(members) }, format: 'jwk' })
}
