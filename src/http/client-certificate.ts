/**
 * The client certificate of a connection. A serial number is unique only under its issuer, and every CA under an upstream
 * root passes the handshake, so a certificate is identified by its SHA-256 and the key that signed it.
 */
import { hash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import type { ClientCertificate } from '../authorize/client-certificate.ts'

/** A certificate that this server's TLS verified and that is valid now, not only at the handshake. */
export function clientCertificate({ socket }: IncomingMessage, now: Date): ClientCertificate | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
  const certificate = socket.getPeerX509Certificate()
  if (!certificate) return undefined
  const notAfter = new Date(certificate.validTo)
  if (notAfter <= now || new Date(certificate.validFrom) > now) return undefined
  return { certificate, sha256: hash('sha256', certificate.raw, 'hex'), notAfter }
}
