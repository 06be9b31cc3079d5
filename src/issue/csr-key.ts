import { type KeyObject, createPublicKey } from 'node:crypto'
import { Asn1Error, childrenOf, contentOf, fromDerStrict, sameOid } from '../keys/asn1-strict.ts'
import { type Asn1, integer, nothing, oid, sequence, tag, toDer } from '../keys/asn1.ts'
import { isWeakEd25519, weaknessOfRsa } from '../keys/weak-keys.ts'
import { CsrError } from './csr-error.ts'

export type KeyType = 'EC-P256' | 'EC-P384' | 'Ed25519' | 'RSA'

/** The kinds of key that a workload may have: algorithm, parameters, and the length of an uncompressed point. */
const ecPublicKey = oid('1.2.840.10045.2.1')
const curves = [
  { keyType: 'EC-P256', parameters: oid('1.2.840.10045.3.1.7'), pointBytes: 65 },
  { keyType: 'EC-P384', parameters: oid('1.3.132.0.34'), pointBytes: 97 },
] as const
const ed25519 = oid('1.3.101.112')
const rsaEncryption = oid('1.2.840.113549.1.1.1')
const nullDer = toDer(nothing())

/**
 * A SubjectPublicKeyInfo (RFC 5280 section 4.1) that is one of ours: kind and size are settled before any arithmetic,
 * and what OpenSSL makes of the key must be written as it came, so that no reader derives another key from it.
 */
export function readCsrKey(node: Asn1): { spki: Buffer; publicKey: KeyObject; keyType: KeyType } {
  const { keyType, key } = kindOf(node)
  const spki = toDer(node)
  const publicKey = importKey(spki)
  if (!keyBytes(publicKey).equals(key)) throw new CsrError('unsupported_key')
  return { spki, publicKey, keyType }
}

/**
 * The numbers that OpenSSL holds, as the BIT STRING of an SPKI has them; all else in it was compared already. By JWK, since
 * writing the SPKI costs twenty times as much.
 */
function keyBytes(publicKey: KeyObject): Buffer {
  const jwk = publicKey.export({ format: 'jwk' })
  const bytes = (base64url: string | undefined): Buffer => Buffer.from(base64url ?? '', 'base64url')
  switch (jwk.kty) {
    case 'EC':
      return Buffer.concat([Buffer.of(0x04), bytes(jwk.x), bytes(jwk.y)])
    case 'OKP':
      return bytes(jwk.x)
    default:
      return toDer(sequence([integer(bytes(jwk.n)), integer(bytes(jwk.e))]))
  }
}

type Kind = { keyType: KeyType; key: Buffer }

function kindOf(node: Asn1): Kind {
  try {
    return checkKind(node)
  } catch (error) {
    throw error instanceof Asn1Error ? new CsrError('malformed') : error
  }
}

function checkKind(node: Asn1): Kind {
  const [algorithm, bits, ...more] = childrenOf(node, tag.sequence)
  const [id, parameters, ...others] = childrenOf(algorithm, tag.sequence)
  const key = contentOf(bits, tag.bitString)
  if (more.length > 0 || others.length > 0 || key[0] !== 0) throw new CsrError('malformed')
  const keyType = ecKind(id, parameters, key) ?? edwardsKind(id, parameters, key) ?? rsaKind(id, parameters, key)
  return { keyType, key: key.subarray(1) }
}

/** RFC 5480 section 2: a named curve; the point uncompressed (04), so neither compressed, hybrid nor infinity. */
function ecKind(id: Asn1 | undefined, parameters: Asn1 | undefined, key: Buffer): KeyType | undefined {
  if (!sameOid(id, ecPublicKey)) return undefined
  const curve = curves.find((curve) => sameOid(parameters, curve.parameters))
  if (!curve || key.length !== 1 + curve.pointBytes || key[1] !== 0x04) throw new CsrError('unsupported_key')
  return curve.keyType
}

/** RFC 8410 section 3: no parameters, 32 bytes. */
function edwardsKind(id: Asn1 | undefined, parameters: Asn1 | undefined, key: Buffer): KeyType | undefined {
  if (!sameOid(id, ed25519)) return undefined
  if (parameters !== undefined || key.length !== 33) throw new CsrError('unsupported_key')
  if (isWeakEd25519(key.subarray(1))) throw new CsrError('weak_key')
  return 'Ed25519'
}

/** RFC 3279 section 2.3.1: NULL parameters, and the key itself is DER inside the BIT STRING. */
function rsaKind(id: Asn1 | undefined, parameters: Asn1 | undefined, key: Buffer): KeyType {
  if (!sameOid(id, rsaEncryption) || !parameters || !toDer(parameters).equals(nullDer)) {
    throw new CsrError('unsupported_key')
  }
  const [modulus, exponent, ...more] = childrenOf(fromDerStrict(key.subarray(1)), tag.sequence)
  if (more.length > 0) throw new CsrError('malformed')
  if (isWeakRsa(contentOf(modulus, tag.integer), contentOf(exponent, tag.integer))) throw new CsrError('weak_key')
  return 'RSA'
}

const maxBits = 4096
const maxExponent = 0x1_0000_0000n

/** Both INTEGERs as they stand in DER, their size judged before they are numbers. */
function isWeakRsa(modulus: Buffer, exponent: Buffer): boolean {
  if (modulus.length > maxBits / 8 + 1 || exponent.length > 5) return true
  if (modulus[0]! >= 0x80 || exponent[0]! >= 0x80) return true
  const e = BigInt(`0x${exponent.toString('hex')}`)
  return e > maxExponent || weaknessOfRsa(BigInt(`0x${modulus.toString('hex')}`), e, maxBits) !== undefined
}

function importKey(spki: Buffer): KeyObject {
  try {
    return createPublicKey({ key: spki, format: 'der', type: 'spki' })
  } catch {
    // a point that is not on its curve, for one
    throw new CsrError('unsupported_key')
  }
}
