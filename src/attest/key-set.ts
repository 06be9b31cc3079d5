/** The keys of an issuer: inline here; fetched ones share the same contract (fetched-keys.ts). */
import { type CryptoKey, importJWK } from 'jose'

export type KeySet = {
  /** The key of that id for that algorithm. Without an id, the only key that fits. */
  find(kid: string | undefined, alg: string, now: Date): Promise<CryptoKey | undefined>
}

type Jwk = Record<string, unknown>
const curves: Record<string, string> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }

const base64urlBytes = (value: unknown): Buffer | undefined =>
  typeof value === 'string' && /^[A-Za-z0-9_-]+$/.test(value) ? Buffer.from(value, 'base64url') : undefined

/** RSA of 2048 to 8192 bits with an odd exponent of at least 65537: jose would take e = 1 (measured, X9). */
function soundRsa(jwk: Jwk): boolean {
  const [n, e] = [base64urlBytes(jwk.n), base64urlBytes(jwk.e)]
  if (!n || !e || n[0] === 0 || e.length > 8) return false
  const bits = n.length * 8 - Math.clz32(n[0] ?? 0) + 24
  const exponent = BigInt(`0x${e.toString('hex')}`)
  return bits >= 2048 && bits <= 8192 && ((n.at(-1) ?? 0) & 1) === 1 && exponent >= 65537n && (exponent & 1n) === 1n
}

/** Why an entry of a JWKS is left out, or nothing where it is a public signature key that we take. */
export function refusedBecause(jwk: unknown): string | undefined {
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk)) return 'not an object'
  const key = jwk as Jwk
  if (['d', 'p', 'q', 'dp', 'dq', 'qi', 'k', 'oth'].some((name) => Object.hasOwn(key, name)))
    return 'it holds private members'
  if (key.use !== undefined && key.use !== 'sig') return 'its use is not sig'
  if (key.kid !== undefined && (typeof key.kid !== 'string' || key.kid.length > 512))
    return 'its kid is not a short string'
  if (key.kty === 'RSA') return soundRsa(key) ? undefined : 'its RSA modulus or exponent is not acceptable'
  if (key.kty === 'EC')
    return Object.values(curves).includes(String(key.crv)) ? undefined : 'its curve is not supported'
  if (key.kty === 'OKP') return key.crv === 'Ed25519' ? undefined : 'its curve is not supported'
  return 'its kty is not supported'
}

function fits(jwk: Jwk, alg: string): boolean {
  if (jwk.alg !== undefined && jwk.alg !== alg) return false
  if (jwk.kty === 'RSA') return alg.startsWith('RS') || alg.startsWith('PS')
  if (jwk.kty === 'EC') return curves[alg] === jwk.crv
  return jwk.kty === 'OKP' && (alg === 'EdDSA' || alg === 'Ed25519')
}

/** Keys that don't qualify are left out; `onIgnored` hears which and why. */
export function createKeySet(keys: readonly unknown[], onIgnored?: (kid: string, why: string) => void): KeySet {
  const usable: Jwk[] = []
  for (const jwk of keys) {
    const why = refusedBecause(jwk)
    if (why === undefined) usable.push(jwk as Jwk)
    else onIgnored?.(String((jwk as Jwk | null)?.kid ?? ''), why)
  }
  const imported = new Map<string, Promise<CryptoKey>>()

  return {
    async find(kid, alg) {
      const found = usable.filter((jwk) => fits(jwk, alg) && (kid === undefined || jwk.kid === kid))
      const [jwk] = found
      if (!jwk || found.length !== 1) return undefined
      const name = JSON.stringify([usable.indexOf(jwk), alg])
      let key = imported.get(name)
      if (!key) {
        key = importJWK(jwk, alg).then((made) => made as CryptoKey)
        imported.set(name, key)
      }
      return key.catch(() => undefined)
    },
  }
}
