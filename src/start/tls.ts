/** One TLS 1.3 listener: client certificates requested, not required, our roots only, no resumption. */
import { type KeyObject, X509Certificate, constants, generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { ServerOptions } from 'node:https'
import type { SecureContextOptions } from 'node:tls'
import type { Recorder } from '../audit/record.ts'
import type { Config } from '../config.ts'
import { Refusal } from '../errors.ts'
import type { IssueServerCertificate } from '../issue/x509.ts'
import { createRootCertificate } from '../keys/ca-certificates.ts'
import { serialFrom } from '../keys/certificate.ts'
import type { Keys } from '../keys/keys.ts'
import { rootOver } from '../keys/bundle.ts'
import { newId } from '../names/id.ts'
import type { Snapshot } from '../store/snapshot.ts'

/**
 * A client that sends slowly holds a socket, and not for long: milliseconds until headers, whole request and TLS
 * handshake must be complete. Node looks at them every 30 seconds unless told. `idleTimeout` is for one that doesn't
 * read: so long not a byte has gone either way. A long reply that is being read, however slowly, is not cut.
 */
export const timeouts = {
  requestTimeout: 30_000,
  headersTimeout: 10_000,
  keepAliveTimeout: 60_000,
  idleTimeout: 60_000,
  handshakeTimeout: 10_000,
  connectionsCheckingInterval: 2_000,
}

export const tlsOptions: ServerOptions = {
  minVersion: 'TLSv1.3',
  // Mozilla's "modern" set; OpenSSL offers more.
  ecdhCurve: 'X25519:P-256:P-384',
  requestCert: true,
  // Judged at each request instead (http/caller.ts): most callers have no certificate yet.
  rejectUnauthorized: false,
  // A resumed connection that presents no certificate would still count as the earlier one. Without this option a ticket
  // holds the session; with it a ticket names one that the server would have to keep, and it keeps none.
  secureOptions: constants.SSL_OP_NO_TICKET,
}

export type ServerIdentity = SecureContextOptions & {
  notBefore: Date
  notAfter: Date
  /** Where our own CA issued it. */
  issued?: { keyId: string; serialNumber: string }
}

export type IdentityParts = {
  recorder: Recorder
  keys: Keys
  issue: IssueServerCertificate
  now: () => Date
  randomBytes: (size: number) => Buffer
}

export type Tls = Exclude<Config['tls'], { kind: 'off' }>

/** From the given files, or from our own CA: then it is an issuance like any other, with its entry. */
export async function serverIdentity(tls: Tls, roots: string, parts: IdentityParts): Promise<ServerIdentity> {
  if (tls.kind === 'files') {
    const cert = readFileSync(tls.certFile, 'utf8')
    const { validFrom, validTo } = new X509Certificate(cert)
    const times = { notBefore: new Date(validFrom), notAfter: new Date(validTo) }
    return { cert, key: readFileSync(tls.keyFile, 'utf8'), ca: roots, ...times }
  }
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const now = parts.now()
  const open = {
    requestId: newId('req', parts.randomBytes),
    action: 'server.certificate' as const,
    time: now,
    actor: { kind: 'system' as const },
  }
  const key = String(privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const granted = await parts.recorder
    .grant(open, async (snapshot) => {
      const ca = parts.keys.issuingCa(snapshot, now)
      const { chain, record, notAfter } = parts.issue(publicKey, tls.names, ca, now)
      // The root goes along, for clients that trust it by its fingerprint alone (PURSER_CA_SHA256).
      const cert = chain + (rootOver(snapshot, ca.row, now) ?? '')
      const holds = (snapshot: Snapshot): boolean => !snapshot.keys.get(ca.row.id)?.withdrawnAt
      return { result: { cert, record, notAfter }, entry: { issued: { x509: record } }, whileClosed: true, holds }
    })
    .catch((error) => {
      if (error instanceof Refusal && error.code === 'issuing_closed') return undefined
      throw error
    })
  if (!granted) return nobody({ publicKey, privateKey }, now, parts.randomBytes)
  const { cert, record, notAfter } = granted.result
  return { cert, key, ca: roots, notBefore: now, notAfter, issued: record }
}

/**
 * A certificate that nobody trusts: where nothing may be recorded, none is issued, and whoever looks at /readyz without
 * asking who answers is still told why.
 */
function nobody(
  keys: { publicKey: KeyObject; privateKey: KeyObject },
  now: Date,
  randomBytes: (size: number) => Buffer,
): ServerIdentity {
  const notAfter = new Date(now.getTime() + 60_000)
  const { pem } = createRootCertificate({
    trustDomain: 'nobody.invalid',
    keys,
    serial: serialFrom(randomBytes(16)),
    notBefore: new Date(now.getTime() - 60_000),
    notAfter,
  })
  return { cert: pem, key: String(keys.privateKey.export({ type: 'pkcs8', format: 'pem' })), notBefore: now, notAfter }
}
