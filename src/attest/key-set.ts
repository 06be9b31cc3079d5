/** Published keys: which of them are usable, and which one verifies a proof. */
import { KeyObject, createPublicKey } from 'node:crypto'
import { importJWK } from 'jose'
import { isMembers } from '../json/members.ts'
import { weaknessOf } from '../keys/weak-keys.ts'

export type KeySet = {
  /** The key with that id for that algorithm; without an id, the only key that fits. Nothing where several fit. */
  find(kid: string | undefined, alg: string): Promise<KeyObject | undefined>
}

/** The usable keys of a list, and why the others are ignored. */
export type KeyList = KeySet & {
  usable: number
  kids: ReadonlySet<string>
  ignored: { kid: string; why: string }[]
}

type Jwk = Record<string, unknown>

/** The algorithms that attestors accept: asymmetric ones only (RFC 7518 section 3.1, RFC 8037). */
export const algorithms = [
  'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA',
] as const // prettier-ignore

/** More than any issuer publishes. The bound limits the cost of a search. */
const maxKeys = 100
const curves: Record<string, string> = { 'P-256': 'ES256', 'P-384': 'ES384', 'P-521': 'ES512', Ed25519: 'EdDSA' }
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k', 'oth']

const base64urlBytes = (value: unknown): Buffer | undefined =>
  typeof value === 'string' && /^[A-Za-z0-9_-]+$/.test(value) ? Buffer.from(value, 'base64url') : undefined

/** Checks sizes and leading zeros. Weaknesses of the numbers are judged once they are imported. */
function isRsaSized({ n, e }: Jwk): boolean {
  const [modulus, exponent] = [base64urlBytes(n), base64urlBytes(e)]
  return (
    modulus !== undefined &&
    exponent !== undefined &&
    modulus[0] !== 0 &&
    modulus.length <= 1024 &&
    exponent.length <= 8
  )
}

/** Why a key of a supported type is weak. OpenSSL refuses a point that is not on its curve. */
function weaknessOfJwk(jwk: Jwk): string | undefined {
  const numbers = ['kty', 'n', 'e', 'crv', 'x', 'y'].map((name) => [name, jwk[name]] as const)
  const key = Object.fromEntries(numbers.filter((member): member is [string, string] => typeof member[1] === 'string'))
  try {
    return weaknessOf(createPublicKey({ key, format: 'jwk' }))
  } catch {
    return 'it can’t be imported: a member is missing, or its point is not on its curve'
  }
}

/** The algorithms of a key's type. The first is the default of a key without `alg`. */
function algorithmsOf(jwk: Jwk): readonly string[] {
  if (jwk.kty === 'RSA') return algorithms.filter((alg) => alg.startsWith('RS') || alg.startsWith('PS'))
  const alg = typeof jwk.crv === 'string' && Object.hasOwn(curves, jwk.crv) ? curves[jwk.crv] : undefined
  return alg !== undefined && (jwk.kty === 'OKP') === (alg === 'EdDSA') ? [alg] : []
}

/** Why an entry of a JWKS is ignored. Nothing for a usable public signature key. */
export function faultOfJwk(jwk: unknown): string | undefined {
  if (!isMembers(jwk)) return 'it is not an object'
  const key = jwk
  if (privateMembers.some((name) => Object.hasOwn(key, name))) return 'it holds private members'
  if (key.use !== undefined && key.use !== 'sig') return 'its use is not sig'
  if (key.key_ops !== undefined && !(Array.isArray(key.key_ops) && key.key_ops.includes('verify')))
    return 'its key_ops lack verify'
  if (key.kid !== undefined && (typeof key.kid !== 'string' || key.kid === '' || key.kid.length > 512))
    return 'its kid is not a short string'
  if (key.kty !== 'RSA' && key.kty !== 'EC' && key.kty !== 'OKP') return 'its kty is not supported'
  const served = algorithmsOf(key)
  if (served.length === 0) return 'its curve is not supported'
  if (key.alg !== undefined && !served.some((alg) => alg === key.alg)) return 'its alg is not one of its type'
  if (key.kty === 'RSA' && !isRsaSized(key)) return 'its RSA modulus or exponent is not acceptable'
  return weaknessOfJwk(key)
}

/** @param allowedAlgorithms of the attestor: an RSA key without `alg` serves all of them, by default only RS256 */
export async function createKeySet(keys: readonly unknown[], allowedAlgorithms?: readonly string[]): Promise<KeyList> {
  const usable: Jwk[] = []
  const ignored: KeyList['ignored'] = []
  const imported = new Map<string, KeyObject>()
  const slot = (n: number, alg: string): string => `${n} ${alg}`
  for (const jwk of keys) {
    const why = usable.length >= maxKeys ? 'it comes after a hundred others' : await add(jwk)
    if (why !== undefined) ignored.push({ kid: kidOf(jwk), why })
  }

  async function add(jwk: unknown): Promise<string | undefined> {
    const why = faultOfJwk(jwk)
    if (why !== undefined || !isMembers(jwk)) return why ?? 'it is not an object'
    const n = usable.length
    for (const alg of servedBy(jwk, allowedAlgorithms)) {
      const key = await importJWK(jwk, alg).catch(() => undefined)
      if (key === undefined || key instanceof Uint8Array) return 'it can’t be imported'
      imported.set(slot(n, alg), KeyObject.from(key))
    }
    usable.push(jwk)
    return undefined
  }

  return {
    usable: usable.length,
    kids: new Set(usable.flatMap((jwk) => (typeof jwk.kid === 'string' ? [jwk.kid] : []))),
    ignored,
    async find(kid, alg) {
      const candidates = usable.flatMap((jwk, n) =>
        kid === undefined || jwk.kid === kid ? (imported.get(slot(n, alg)) ?? []) : [],
      )
      return candidates.length === 1 ? candidates[0] : undefined
    },
  }
}

function servedBy(jwk: Jwk, allowedAlgorithms: readonly string[] | undefined): readonly string[] {
  if (typeof jwk.alg === 'string') return [jwk.alg]
  const possible = algorithmsOf(jwk)
  return allowedAlgorithms ? possible.filter((alg) => allowedAlgorithms.includes(alg)) : possible.slice(0, 1)
}

/** For operators; cut, since the issuer controls it. */
function kidOf(jwk: unknown): string {
  const kid = typeof jwk === 'object' && jwk !== null && 'kid' in jwk ? jwk.kid : undefined
  return typeof kid === 'string' ? kid.slice(0, 64) : ''
}
