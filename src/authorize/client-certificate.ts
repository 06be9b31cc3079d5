/** A client certificate, and whether Purser issued it. A serial number is unique only under its issuer. */
import type { X509Certificate } from 'node:crypto'
import { publicKeyOf } from '../keys/keys.ts'
import type { Snapshot } from '../store/snapshot.ts'

export type ClientCertificate = {
  certificate: X509Certificate
  /** Of the DER, in lower-case hex. */
  sha256: string
  notAfter: Date
}

/** Whether an issuing key of Purser signed the certificate. */
export function isIssuedUnder({ keys }: Pick<Snapshot, 'keys'>, keyId: string, certificate: X509Certificate): boolean {
  const row = keys.get(keyId)
  return row?.kind === 'issuing-ca' && certificate.verify(publicKeyOf(row))
}
