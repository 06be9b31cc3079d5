import { type KeyObject, sign } from 'node:crypto'
import { promisify } from 'node:util'
import { type Asn1, nothing, oid, raw, sequence, toDer } from './asn1.ts'

/** A private key and the one signature algorithm that we use it with. */
export type Signer = {
  /** AlgorithmIdentifier, as it stands in what is signed and beside the signature. */
  algorithm: Asn1
  sign: (bytes: Buffer) => Buffer
  /** In the thread pool: hashing a large CRL takes longer than a request may hold the event loop. */
  signInPool: (bytes: Buffer) => Promise<Buffer>
}

const signAsync = promisify(sign)

type Scheme = { oid: string; nullParameters: boolean; digest: 'sha256' | 'sha384' | null }

/** RFC 5758 section 3.2, RFC 4055 section 5, RFC 8410 section 3: parameters are absent, but NULL for RSA. */
const schemes = {
  p256: { oid: '1.2.840.10045.4.3.2', nullParameters: false, digest: 'sha256' },
  p384: { oid: '1.2.840.10045.4.3.3', nullParameters: false, digest: 'sha384' },
  rsa: { oid: '1.2.840.113549.1.1.11', nullParameters: true, digest: 'sha256' },
  ed25519: { oid: '1.3.101.112', nullParameters: false, digest: null },
} as const satisfies Record<string, Scheme>

/** Throws for a key that is not private, or of a kind that Purser doesn't sign with. */
export function createSigner(key: KeyObject): Signer {
  if (key.type !== 'private') throw new TypeError('signing takes a private key')
  const scheme = schemeOf(key)
  const algorithm = sequence(scheme.nullParameters ? [oid(scheme.oid), nothing()] : [oid(scheme.oid)])
  return {
    algorithm: raw(toDer(algorithm)),
    sign: (bytes) => sign(scheme.digest, bytes, key),
    signInPool: (bytes) => signAsync(scheme.digest, bytes, key),
  }
}

function schemeOf(key: KeyObject): Scheme {
  const curve = key.asymmetricKeyDetails?.namedCurve
  if (key.asymmetricKeyType === 'ec' && curve === 'prime256v1') return schemes.p256
  if (key.asymmetricKeyType === 'ec' && curve === 'secp384r1') return schemes.p384
  if (key.asymmetricKeyType === 'rsa') return schemes.rsa
  if (key.asymmetricKeyType === 'ed25519') return schemes.ed25519
  throw new TypeError('a signing key is EC P-256 or P-384, RSA or Ed25519')
}
