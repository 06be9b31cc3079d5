/** One TLS 1.3 listener: client certificates requested, not required, our roots only, no resumption. */
import { type KeyObject, X509Certificate, constants, generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { ServerOptions } from 'node:https'
import type { SecureContextOptions } from 'node:tls'
import type { Recorder } from '../audit/record.ts'
import { systemOpening } from '../audit/seal.ts'
import type { Config } from '../config.ts'
import { Refusal } from '../errors.ts'
import type { IssueServerCertificate } from '../issue/x509.ts'
import { createRootCertificate } from '../keys/ca-certificates.ts'
import { serialFrom } from '../keys/certificate.ts'
import type { Keys } from '../keys/keys.ts'
import { rootOver } from '../keys/bundle.ts'
import type { Snapshot } from '../store/snapshot.ts'

/**
 * Limits on slow clients, in milliseconds: until headers, request and TLS handshake must be complete. Node checks every 30
 * seconds by default. `idleTimeout` ends a connection on which no byte moves; a reply that is read slowly is not cut.
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
  // http/caller.ts checks it at each request: most callers have no certificate yet.
  rejectUnauthorized: false,
  // A resumed connection without a certificate counts as `authorized`. The server keeps no session that a stateless ticket
  // could name, so this option ends resumption.
  secureOptions: constants.SSL_OP_NO_TICKET,
}

export type ServerIdentity = SecureContextOptions & {
  notBefore: Date
  notAfter: Date
  /** Set where Purser's CA issued it. */
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

/** From files, or from Purser's CA: then it is an issuance with its entry. */
export async function serverIdentity(tls: Tls, roots: string, parts: IdentityParts): Promise<ServerIdentity> {
  if (tls.kind === 'files') {
    const cert = readFileSync(tls.certFile, 'utf8')
    const { validFrom, validTo } = new X509Certificate(cert)
    const times = { notBefore: new Date(validFrom), notAfter: new Date(validTo) }
    return { cert, key: readFileSync(tls.keyFile, 'utf8'), ca: roots, ...times }
  }
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const now = parts.now()
  const open = systemOpening({ action: 'server.certificate', time: now, randomBytes: parts.randomBytes })
  const key = String(privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const release = await parts.recorder
    .grant(open, async (snapshot) => {
      const ca = parts.keys.issuingCa(snapshot, now)
      const { chain, record, notAfter } = parts.issue(publicKey, tls.names, ca, now)
      // Clients that trust the root by its fingerprint (PURSER_CA_SHA256) need it in the chain.
      const cert = chain + (rootOver(snapshot, ca.row, now) ?? '')
      const holds = (snapshot: Snapshot): boolean => !snapshot.keys.get(ca.row.id)?.withdrawnAt
      return { result: { cert, record, notAfter }, entry: { issued: { x509: record } }, whileClosed: true, holds }
    })
    .catch((error) => {
      if (error instanceof Refusal && error.code === 'issuing_closed') return undefined
      throw error
    })
  if (!release) return selfSigned({ publicKey, privateKey }, now, parts.randomBytes)
  const { cert, record, notAfter } = release.result
  return { cert, key, ca: roots, notBefore: now, notAfter, issued: record }
}

/**
 * A self-signed certificate, for a log that takes no entry: then Purser's CA issues none, and a probe that does not verify
 * TLS can still read /readyz.
 */
function selfSigned(
  keys: { publicKey: KeyObject; privateKey: KeyObject },
  now: Date,
  randomBytes: (size: number) => Buffer,
): ServerIdentity {
  const notAfter = new Date(now.getTime() + 60_000)
  const { pem } = createRootCertificate({
    trustDomain: 'self-signed.invalid',
    keys,
    serial: serialFrom(randomBytes(16)),
    notBefore: new Date(now.getTime() - 60_000),
    notAfter,
  })
  return { cert: pem, key: String(keys.privateKey.export({ type: 'pkcs8', format: 'pem' })), notBefore: now, notAfter }
}
