/** The keys of an issuer, as it published them: which of them count, and which one a proof is verified with. */
import { KeyObject, createPublicKey } from 'node:crypto'
import { importJWK } from 'jose'
import { isMembers } from '../json/members.ts'
import { weaknessOf } from '../keys/weak-keys.ts'

export type KeySet = {
  /**
   * The key of that id for that algorithm; nothing where there is none, or more than one. Without an id, the only one
   * that fits.
   */
  find(kid: string | undefined, alg: string): Promise<KeyObject | undefined>
}

/** What came of a list of keys: how many count, and why the others don't. */
export type KeyList = KeySet & {
  usable: number
  kids: ReadonlySet<string>
  ignored: { kid: string; why: string }[]
}

type Jwk = Record<string, unknown>

/** Every algorithm that an attestor can be told to take: asymmetric all of them (RFC 7518 section 3.1, RFC 8037). */
export const algorithms = [
  'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA',
] as const // prettier-ignore

/** More than any issuer publishes; beyond it a search for the right one would be paid by us. */
const maxKeys = 100
const curves: Record<string, string> = { 'P-256': 'ES256', 'P-384': 'ES384', 'P-521': 'ES512', Ed25519: 'EdDSA' }
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k', 'oth']

const base64urlBytes = (value: unknown): Buffer | undefined =>
  typeof value === 'string' && /^[A-Za-z0-9_-]+$/.test(value) ? Buffer.from(value, 'base64url') : undefined

/**
 * Numbers of a size that an issuer publishes, without zeros before them; what they are worth is judged once they are a
 * key.
 */
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

/** Why a key of a kind that is taken can't be relied on. OpenSSL refuses a point that is not on its curve. */
function weaknessOfJwk(jwk: Jwk): string | undefined {
  const numbers = ['kty', 'n', 'e', 'crv', 'x', 'y'].map((name) => [name, jwk[name]] as const)
  const key = Object.fromEntries(numbers.filter((member): member is [string, string] => typeof member[1] === 'string'))
  try {
    return weaknessOf(createPublicKey({ key, format: 'jwk' }))
  } catch {
    return 'it can’t be imported: a member is missing, or its point is not on its curve'
  }
}

/** The algorithms that a key by its type could serve, the one that it serves when it names none first. */
function algorithmsOf(jwk: Jwk): readonly string[] {
  if (jwk.kty === 'RSA') return algorithms.filter((alg) => alg.startsWith('RS') || alg.startsWith('PS'))
  const alg = typeof jwk.crv === 'string' && Object.hasOwn(curves, jwk.crv) ? curves[jwk.crv] : undefined
  return alg !== undefined && (jwk.kty === 'OKP') === (alg === 'EdDSA') ? [alg] : []
}

/** Why a JWKS entry is left out; `undefined` for an acceptable public signature key (RFC 7517 section 4). */
export function refusedBecause(jwk: unknown): string | undefined {
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

/**
 * @param taken algorithms that an operator listed: an RSA key that names none then serves any of them, else RS256 alone
 */
export async function createKeySet(keys: readonly unknown[], taken?: readonly string[]): Promise<KeyList> {
  const usable: Jwk[] = []
  const ignored: KeyList['ignored'] = []
  const imported = new Map<string, KeyObject>()
  const place = (n: number, alg: string): string => `${n} ${alg}`
  for (const jwk of keys) {
    const why = usable.length >= maxKeys ? 'it comes after a hundred others' : await add(jwk)
    if (why !== undefined) ignored.push({ kid: kidOf(jwk), why })
  }

  async function add(jwk: unknown): Promise<string | undefined> {
    const why = refusedBecause(jwk)
    if (why !== undefined || !isMembers(jwk)) return why ?? 'it is not an object'
    const n = usable.length
    for (const alg of servedBy(jwk, taken)) {
      const key = await importJWK(jwk, alg).catch(() => undefined)
      if (key === undefined || key instanceof Uint8Array) return 'it can’t be imported'
      imported.set(place(n, alg), KeyObject.from(key))
    }
    usable.push(jwk)
    return undefined
  }

  return {
    usable: usable.length,
    kids: new Set(usable.flatMap((jwk) => (typeof jwk.kid === 'string' ? [jwk.kid] : []))),
    ignored,
    async find(kid, alg) {
      const found: KeyObject[] = []
      usable.forEach((jwk, n) => {
        const key = kid === undefined || jwk.kid === kid ? imported.get(place(n, alg)) : undefined
        if (key) found.push(key)
      })
      return found.length === 1 ? found[0] : undefined
    },
  }
}

function servedBy(jwk: Jwk, taken: readonly string[] | undefined): readonly string[] {
  if (typeof jwk.alg === 'string') return [jwk.alg]
  const possible = algorithmsOf(jwk)
  return taken ? possible.filter((alg) => taken.includes(alg)) : possible.slice(0, 1)
}

/** For operators: what names the entry, cut, since a stranger may have published it. */
function kidOf(jwk: unknown): string {
  const kid = typeof jwk === 'object' && jwk !== null && 'kid' in jwk ? jwk.kid : undefined
  return typeof kid === 'string' ? kid.slice(0, 64) : ''
}
