import { type KeyObject, createPublicKey, sign } from 'node:crypto'
import { bitString, encodePem, nothing, oid, sequence } from './der-write.ts'

type Scheme = { algorithm: Buffer; digest: string | null }

/** ecdsa-with-SHA256 and -SHA384 (RFC 5758), sha256WithRSAEncryption (RFC 4055), Ed25519 (RFC 8410). */
const schemes = {
  p256: { algorithm: sequence(oid('2a8648ce3d040302')), digest: 'sha256' },
  p384: { algorithm: sequence(oid('2a8648ce3d040303')), digest: 'sha384' },
  rsa: { algorithm: sequence(oid('2a864886f70d01010b'), nothing), digest: 'sha256' },
  ed25519: { algorithm: sequence(oid('2b6570')), digest: null },
} as const satisfies Record<string, Scheme>

function schemeOf(key: KeyObject): Scheme {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  if (type === 'ec' && details?.namedCurve === 'prime256v1') return schemes.p256
  if (type === 'ec' && details?.namedCurve === 'secp384r1') return schemes.p384
  if (type === 'rsa') return schemes.rsa
  if (type === 'ed25519') return schemes.ed25519
  throw new TypeError('a workload key is EC P-256 or P-384, Ed25519 or RSA')
}

/**
 * A certificate request (PKCS#10, RFC 2986) for the public half of a private key, with an empty subject and no attributes:
 * Purser uses only the key and the proof of possession.
 *
 * @param privateKey EC P-256 or P-384, Ed25519, or RSA of 2048 to 4096 bits; it does not leave the process
 * @returns PEM
 * @throws TypeError for any other key
 */
export function createCsr(privateKey: KeyObject): string {
  if (privateKey.type !== 'private') throw new TypeError('a request is signed with a private key')
  const { algorithm, digest } = schemeOf(privateKey)
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
  const version = Buffer.from([0x02, 0x01, 0x00])
  const noAttributes = Buffer.from([0xa0, 0x00])
  const info = sequence(version, sequence(), spki, noAttributes)
  const signature = sign(digest, info, privateKey)
  return encodePem('CERTIFICATE REQUEST', sequence(info, algorithm, bitString(signature)))
}
