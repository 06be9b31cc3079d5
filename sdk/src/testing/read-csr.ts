/** Reads the key of a certificate request (PKCS#10, RFC 2986) that the same key signed. */
import { type KeyObject, createPublicKey, verify } from 'node:crypto'
import { members, readBits, readDer } from '../certificates/der.ts'
import { Refusal } from './refusal.ts'

export type CsrKey = { spki: Buffer; key: KeyObject }

const pemShape = /^\s*-----BEGIN CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE REQUEST-----\s*$/

/** @throws Refusal `bad_csr` */
export function readCsr(pem: string): CsrKey {
  const [, base64 = ''] = pemShape.exec(pem) ?? []
  try {
    const [info, , signature] = members(readDer(Buffer.from(base64, 'base64')))
    const [, , subjectKey] = info ? members(info) : []
    if (info && subjectKey) {
      const spki = subjectKey.whole
      const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
      const digest = digestOf(key)
      if (digest !== undefined && verify(digest, info.whole, key, readBits(signature, 'the signature')))
        return { spki, key }
    }
  } catch {
    // Not DER, or not a key.
  }
  const detail = 'it is no request that its own key signed'
  throw new Refusal('bad_csr', { detail, errors: [{ pointer: '/x509/csr', detail }] })
}

/** By the kinds of key that Purser certifies; undefined for others. */
function digestOf({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): string | null | undefined {
  if (type === 'ed25519') return null
  if (type === 'rsa') return 'sha256'
  return { prime256v1: 'sha256', secp384r1: 'sha384' }[details?.namedCurve ?? '']
}
