import { Refusal } from '../errors.ts'

export type CsrReason =
  | 'too_large'
  | 'not_pem'
  | 'not_der'
  | 'trailing'
  | 'malformed'
  | 'extensions'
  | 'unsupported_key'
  | 'weak_key'
  | 'refused_key'
  | 'unsupported_signature'
  | 'bad_signature'

const words: Record<CsrReason, string> = {
  too_large: 'larger than 16 KiB',
  not_pem: 'not one PEM block "CERTIFICATE REQUEST" without headers',
  not_der: 'the PEM block is not DER',
  trailing: 'bytes follow the request',
  malformed: 'not the structure of RFC 2986',
  extensions: 'the requested extensions must be one list in which none occurs twice and each critical one is known',
  unsupported_key: 'the key must be EC P-256 or P-384 (named curve, uncompressed point), Ed25519, or RSA',
  weak_key:
    'an RSA key has 2048 to 4096 bits, an odd exponent from 65537 to 2^32 and two random primes; no key may be degenerate',
  refused_key: 'this key may not be used',
  unsupported_signature: 'sign with ECDSA or RSA PKCS#1 v1.5 and SHA-256, SHA-384 or SHA-512, or with Ed25519',
  bad_signature: 'the signature does not prove possession of the key',
}

/** A certificate request that is not taken, and why. */
export class CsrError extends Refusal {
  readonly reason: CsrReason
  constructor(reason: CsrReason) {
    super('bad_csr', {
      detail: words[reason],
      errors: [{ pointer: '/x509/csr', detail: words[reason] }],
      explanation: { csr: reason },
    })
    this.name = 'CsrError'
    this.reason = reason
  }
}
