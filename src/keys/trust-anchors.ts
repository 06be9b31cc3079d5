/** Certificates that an operator gives to verify another server by. */
import { X509Certificate } from 'node:crypto'
import { weaknessOf } from './weak-keys.ts'

const block = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g

/** What is wrong with them, for the operator; nothing where they can be used. A server's own certificate may be its anchor. */
export function faultOfAnchors(pem: string): string | undefined {
  const blocks = pem.match(block) ?? []
  if (blocks.length === 0 || pem.replaceAll(block, '').includes('-----')) return notCertificates
  for (const [n, text] of blocks.entries()) {
    const fault = faultOfAnchor(text)
    if (fault !== undefined)
      return fault === notCertificates ? fault : `the key of certificate ${n + 1} is refused: ${fault}`
  }
  return undefined
}

const notCertificates = 'must be one or more PEM certificates and nothing else'

function faultOfAnchor(pem: string): string | undefined {
  try {
    return weaknessOf(new X509Certificate(pem).publicKey)
  } catch {
    return notCertificates
  }
}
