/**
 * The client certificate of a connection. A serial number is unique only under its issuer, and every CA under an upstream
 * root passes the handshake, so a certificate is known by its SHA-256 and by the key that signed it.
 */
import { X509Certificate, hash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import { publicKeyOf } from '../keys/keys.ts'
import type { Snapshot } from '../store/snapshot.ts'

export type ClientCertificate = {
  certificate: X509Certificate
  /** Of the DER, lower-case hex. */
  sha256: string
  notAfter: Date
}

/** A certificate that this server's TLS verified and that is valid now, not only at the handshake. */
export function clientCertificate({ socket }: IncomingMessage, now: Date): ClientCertificate | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
  const certificate = socket.getPeerX509Certificate()
  if (!certificate) return undefined
  const notAfter = new Date(certificate.validTo)
  if (notAfter <= now || new Date(certificate.validFrom) > now) return undefined
  return { certificate, sha256: hash('sha256', certificate.raw, 'hex'), notAfter }
}

/** Whether that issuing key of ours signed the certificate. */
export function isIssuedUnder({ keys }: Pick<Snapshot, 'keys'>, keyId: string, certificate: X509Certificate): boolean {
  const row = keys.get(keyId)
  return row?.kind === 'issuing-ca' && certificate.verify(publicKeyOf(row))
}
