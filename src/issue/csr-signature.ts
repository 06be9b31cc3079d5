import { type KeyObject, verify } from 'node:crypto'
import { type Asn1, nothing, oid, sequence, toDer } from '../keys/asn1.ts'
import { CsrError } from './csr-error.ts'

type Algorithm = { der: Buffer; keyKind: string; digest: string | null }

const plain = (id: string, keyKind: string, digest: string | null): Algorithm => ({
  der: toDer(sequence([oid(id)])),
  keyKind,
  digest,
})
const withNull = (id: string, keyKind: string, digest: string): Algorithm => ({
  der: toDer(sequence([oid(id), nothing()])),
  keyKind,
  digest,
})

/** What may sign a request, as exact AlgorithmIdentifiers: RFC 5758 section 3.2, RFC 4055 section 5, RFC 8410. */
const algorithms: Algorithm[] = [
  plain('1.2.840.10045.4.3.2', 'ec', 'sha256'),
  plain('1.2.840.10045.4.3.3', 'ec', 'sha384'),
  plain('1.2.840.10045.4.3.4', 'ec', 'sha512'),
  withNull('1.2.840.113549.1.1.11', 'rsa', 'sha256'),
  withNull('1.2.840.113549.1.1.12', 'rsa', 'sha384'),
  withNull('1.2.840.113549.1.1.13', 'rsa', 'sha512'),
  plain('1.3.101.112', 'ed25519', null),
]

/** Verifies with OpenSSL that the request was signed by the key in it. */
export function checkPossession(
  request: { info: Asn1; algorithm: Asn1; signature: Buffer },
  publicKey: KeyObject,
): void {
  const der = toDer(request.algorithm)
  const algorithm = algorithms.find(
    (algorithm) => algorithm.der.equals(der) && algorithm.keyKind === publicKey.asymmetricKeyType,
  )
  if (!algorithm) throw new CsrError('unsupported_signature')
  if (!verify(algorithm.digest, toDer(request.info), publicKey, request.signature)) throw new CsrError('bad_signature')
}
