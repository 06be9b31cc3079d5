/** The trust domain's bundle: a JWK Set with the roots of X.509-SVIDs and the keys of JWT-SVIDs. */
import { type KeyObject, X509Certificate, createPublicKey } from 'node:crypto'
import { PurserError } from '../errors.ts'
import { list, parseFields } from '../json/fields.ts'
import { isObject } from '../verify/canonical.ts'

export type JwtKey = { key: KeyObject; alg: 'ES256' | 'RS256' }

export type Bundle = {
  /** PEM, one certificate after the other. */
  roots: string
  /** By `kid`. */
  jwtKeys: ReadonlyMap<string, JwtKey>
  sequence: number | undefined
  /** How long to use it before reading it again: its hint, limited to 5 seconds to an hour. */
  refreshSeconds: number
}

/** Seconds. A longer hint could overflow a timer, which would fire at once; a shorter one would cause a tight loop. */
const refreshBounds = { min: 5, max: 3600, default: 300 }

const bad = (why: string): PurserError => new PurserError('bad_reply', `the server's bundle is not usable: ${why}`)

/**
 * Reads `GET /bundle` (SPIFFE Trust Domain and Bundle, section 4). Keys of an unknown use or type are left out, as the
 * standard says. A bundle of Purser has at least one root.
 * @throws PurserError `bad_reply`
 */
export function readBundle(json: string): Bundle {
  const value = parseFields(json, 'the bundle')
  const roots: string[] = []
  const jwtKeys = new Map<string, JwtKey>()
  for (const jwk of list(value.keys, 'keys', (key) => key)) {
    if (!isObject(jwk)) throw bad('a key is not an object')
    if (jwk.use === 'x509-svid') roots.push(readRoot(jwk))
    if (jwk.use === 'jwt-svid') readJwtKey(jwk, jwtKeys)
  }
  if (roots.length === 0) throw bad('it has no root')
  const { spiffe_sequence: sequence, spiffe_refresh_hint: hint } = value
  return {
    roots: roots.join(''),
    jwtKeys,
    sequence: Number.isSafeInteger(sequence) ? Number(sequence) : undefined,
    refreshSeconds: refreshSecondsOf(hint),
  }
}

function refreshSecondsOf(hint: unknown): number {
  const { min, max } = refreshBounds
  if (!Number.isSafeInteger(hint) || Number(hint) <= 0) return refreshBounds.default
  return Math.min(Math.max(Number(hint), min), max)
}

function readRoot({ x5c }: Record<string, unknown>): string {
  const [der, ...more] = Array.isArray(x5c) ? x5c : []
  if (typeof der !== 'string' || more.length > 0) throw bad('a root is not exactly one certificate')
  try {
    const certificate = new X509Certificate(Buffer.from(der, 'base64'))
    if (certificate.ca) return certificate.toString()
  } catch (error) {
    throw bad(`a root can't be read (${String(error)})`)
  }
  throw bad('a root is not a certificate authority')
}

/** Skips keys that could endanger a verifier: weak and symmetric keys, and algorithms that Purser does not use. */
function readJwtKey(jwk: Record<string, unknown>, into: Map<string, JwtKey>): void {
  const { kid, kty, crv } = jwk
  if (typeof kid !== 'string' || kid === '' || 'd' in jwk) return
  if (into.has(kid)) throw bad('two JWT keys have the same kid')
  const alg = kty === 'EC' && crv === 'P-256' ? 'ES256' : kty === 'RSA' ? 'RS256' : undefined
  if (!alg || (jwk.alg !== undefined && jwk.alg !== alg)) return
  try {
    const members = alg === 'ES256' ? ['kty', 'crv', 'x', 'y'] : ['kty', 'n', 'e']
    const key = createPublicKey({
      key: Object.fromEntries(members.map((member) => [member, jwk[member]])),
      format: 'jwk',
    })
    const { modulusLength, publicExponent } = key.asymmetricKeyDetails ?? {}
    if (alg === 'RS256' && ((modulusLength ?? 0) < 2048 || (publicExponent ?? 0n) < 65_537n)) return
    into.set(kid, { key, alg })
  } catch {
    // This Node.js can't use the key.
  }
}
