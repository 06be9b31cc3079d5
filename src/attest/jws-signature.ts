/**
 * Whether a key signed a proof (RFC 7515 section 5.2, RFC 7518 section 3, RFC 8037). By node:crypto and in place: WebCrypto,
 * and so jose, sends each signature through the thread pool, which costs more than the verification does.
 */
import { type KeyObject, constants, verify } from 'node:crypto'

type Scheme = {
  /** Checked again here, so that no key is ever used with an algorithm of another family (RFC 8725 section 3.1). */
  keyType: 'rsa' | 'ec' | 'ed25519'
  curve?: string
  digest: string | null
  /** Of a signature: r and s, each as long as the curve's order (RFC 7518 section 3.4). RSA's is the modulus's. */
  bytes?: number
  padding?: number
  saltLength?: number
}

const pkcs1 = (digest: string): Scheme => ({ keyType: 'rsa', digest, padding: constants.RSA_PKCS1_PADDING })
/** The salt is as long as the digest (RFC 7518 section 3.5). OpenSSL would take any length. */
const pss = (digest: string, saltLength: number): Scheme => ({
  keyType: 'rsa',
  digest,
  padding: constants.RSA_PKCS1_PSS_PADDING,
  saltLength,
})
const ecdsa = (curve: string, digest: string, bytes: number): Scheme => ({ keyType: 'ec', curve, digest, bytes })

const schemes = new Map<string, Scheme>([
  ['RS256', pkcs1('sha256')],
  ['RS384', pkcs1('sha384')],
  ['RS512', pkcs1('sha512')],
  ['PS256', pss('sha256', 32)],
  ['PS384', pss('sha384', 48)],
  ['PS512', pss('sha512', 64)],
  ['ES256', ecdsa('prime256v1', 'sha256', 64)],
  ['ES384', ecdsa('secp384r1', 'sha384', 96)],
  ['ES512', ecdsa('secp521r1', 'sha512', 132)],
  ['EdDSA', { keyType: 'ed25519', digest: null, bytes: 64 }],
])

/**
 * @param token a compact JWS whose segments are canonical base64url (proof-text.ts)
 * @param alg one that the caller's rules allow, and that the key was published for
 */
export function isSignedBy(token: string, key: KeyObject, alg: string): boolean {
  const scheme = schemes.get(alg)
  if (!scheme || !fits(key, scheme)) return false
  const dot = token.lastIndexOf('.')
  const signature = Buffer.from(token.slice(dot + 1), 'base64url')
  if (scheme.bytes !== undefined && signature.length !== scheme.bytes) return false
  const { padding, saltLength } = scheme
  return verify(
    scheme.digest,
    Buffer.from(token.slice(0, dot), 'latin1'),
    {
      key,
      ...(scheme.keyType === 'ec' && { dsaEncoding: 'ieee-p1363' }),
      ...(padding !== undefined && { padding }),
      ...(saltLength !== undefined && { saltLength }),
    },
    signature,
  )
}

const fits = (key: KeyObject, { keyType, curve }: Scheme): boolean =>
  key.type === 'public' &&
  key.asymmetricKeyType === keyType &&
  (curve === undefined || key.asymmetricKeyDetails?.namedCurve === curve)
