/** Takes the key out of a certificate request (PKCS#10, RFC 2986), and checks that its holder made it. */
import { type KeyObject, createPublicKey, verify } from 'node:crypto'
import { Refusal } from './refusal.ts'

type Node = { whole: Buffer; content: Buffer }
export type CsrKey = { spki: Buffer; key: KeyObject }

/** The members of DER that follow each other. */
function nodes(der: Buffer): Node[] {
  const found: Node[] = []
  for (let at = 0; at < der.length;) {
    const first = der.readUInt8(at + 1)
    const lengthBytes = first < 0x80 ? 0 : first & 0x7f
    const length = lengthBytes === 0 ? first : der.readUIntBE(at + 2, lengthBytes)
    const start = at + 2 + lengthBytes
    if (start + length > der.length) throw new RangeError('cut off')
    found.push({ whole: der.subarray(at, start + length), content: der.subarray(start, start + length) })
    at = start + length
  }
  return found
}

/** @throws Refusal `bad_csr` */
export function readCsr(pem: string): CsrKey {
  const [, base64 = ''] =
    /^\s*-----BEGIN CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE REQUEST-----\s*$/.exec(pem) ?? []
  try {
    const [request] = nodes(Buffer.from(base64, 'base64'))
    const [info, , bits] = nodes(request?.content ?? Buffer.alloc(0))
    const [, , spki] = nodes(info?.content ?? Buffer.alloc(0))
    if (info && bits && spki) {
      const key = createPublicKey({ key: spki.whole, format: 'der', type: 'spki' })
      const digest = digestOf(key)
      if (digest !== undefined && verify(digest, info.whole, key, bits.content.subarray(1)))
        return { spki: spki.whole, key }
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
