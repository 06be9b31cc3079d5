/** TLS connections to the server, verified before anything is written; and the inspection of an unverified chain. */
import type { X509Certificate } from 'node:crypto'
import { connect as connectPlain, isIP, type Socket } from 'node:net'
import { type ConnectionOptions, type TLSSocket, connect as connectTls } from 'node:tls'
import type { Address } from './address.ts'
import { fingerprintOf, urisOf } from '../certificates/certificates.ts'
import { PurserError } from '../errors.ts'

const base = ({ host, port }: Address): ConnectionOptions => ({
  host,
  port,
  // RFC 6066 section 3: no addresses in SNI. The certificate must match `host` in any case.
  ...(isIP(host) === 0 && { servername: host }),
  minVersion: 'TLSv1.2',
})

/** The trust anchors of the server (PEM; undefined for those that come with Node.js), and their description. */
export type Anchors = { pem: string[] | undefined; words: string }

/**
 * A connection on which nothing was written yet: verified, or plain if the address says so.
 * @param as the certificate to present, with its key (PEM)
 * @throws PurserError `untrusted_server`, `unreachable`; the signal's reason
 */
export async function openConnection(
  address: Address,
  anchors: Anchors,
  signal: AbortSignal,
  as?: { key: string; cert: string },
): Promise<Socket> {
  if (!address.tls) {
    const plain = connectPlain({ host: address.host, port: address.port })
    return established(plain, 'connect', address, signal)
  }
  // Explicit, so that NODE_TLS_REJECT_UNAUTHORIZED does not disable it.
  const trusted = anchors.pem && { ca: anchors.pem }
  const socket = connectTls({ ...base(address), ...trusted, ...as, rejectUnauthorized: true })
  await established(socket, 'secureConnect', address, signal, anchors.words)
  const leaf = socket.getPeerX509Certificate()
  // Workloads have certificates under the same root, but never this name.
  const other = leaf && urisOf(leaf).find((uri) => !/^spiffe:\/\/[^/]+\/purser\/server$/.test(uri))
  if (!socket.authorized || !leaf || other !== undefined) {
    socket.destroy()
    throw new PurserError(
      'untrusted_server',
      `${address.origin} is not a Purser server: its certificate is of ${other ?? 'an unknown owner'}`,
    )
  }
  return socket
}

/**
 * Finds the certificate with one of the fingerprints in the chain that the server sends. Its presence proves nothing: it
 * becomes the only anchor of a regular verification on another connection. Nothing is written on this one.
 * @throws PurserError `fingerprint_mismatch`, `unreachable`
 */
export async function findAnchor(
  address: Address,
  fingerprints: readonly string[],
  signal: AbortSignal,
): Promise<X509Certificate> {
  const socket: TLSSocket = connectTls({ ...base(address), rejectUnauthorized: false })
  try {
    await established(socket, 'secureConnect', address, signal)
    const seen: string[] = []
    let certificate = socket.getPeerX509Certificate()
    for (; certificate && seen.length < maxChainLength; certificate = certificate.issuerCertificate) {
      if (fingerprints.includes(fingerprintOf(certificate))) return certificate
      seen.push(fingerprintOf(certificate))
    }
    throw new PurserError(
      'fingerprint_mismatch',
      `no certificate that ${address.origin} sent has the configured SHA-256 fingerprint (it sent ${seen.join(', ')}). ` +
        'Compare with the root itself: openssl x509 -in ca.pem -noout -fingerprint -sha256',
    )
  } finally {
    socket.destroy()
  }
}

const maxChainLength = 16

function established<S extends Socket>(
  socket: S,
  event: 'connect' | 'secureConnect',
  address: Address,
  signal: AbortSignal,
  trusted?: string,
): Promise<S> {
  // A caller who waits for it keeps the process alive: see keep-alive.ts.
  socket.unref()
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      reject(error instanceof PurserError ? error : connectionError(error, address, trusted))
      socket.destroy()
    }
    const onAbort = (): void => fail(signal.reason)
    const onClose = (): void => fail(new PurserError('unreachable', `${address.origin} closed the connection`))
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('close', onClose)
    // Stays for the life of the socket, so that a late error has a listener.
    socket.on('error', fail)
    socket.once(event, () => {
      signal.removeEventListener('abort', onAbort)
      socket.off('close', onClose)
      resolve(socket)
    })
  })
}

const tlsFault = /^(?:ERR_TLS|ERR_SSL|ERR_OSSL|EPROTO|CERT_|CRL_|UNABLE_TO_|ERROR_IN_|SELF_SIGNED|DEPTH_ZERO|INVALID_|PATH_LENGTH|HOSTNAME_)/ // prettier-ignore

/** The error of a failed connection, with advice. */
export function connectionError(error: unknown, { origin, host }: Address, trusted?: string): PurserError {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown'
  if (!tlsFault.test(code)) {
    return new PurserError(
      'unreachable',
      `${origin} is unreachable (${code}); check PURSER_ADDR, and whether Purser is up`,
      {
        cause: error,
      },
    )
  }
  const trust = trusted === undefined ? '' : ` (trusted: ${trusted})`
  return new PurserError(
    'untrusted_server',
    `${origin} could not be verified (${code}), so nothing was sent: ${adviceFor(code, host)}${trust}`,
    {
      cause: error,
    },
  )
}

function adviceFor(code: string, host: string): string {
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    return `a certificate of its chain is not valid at this machine's time (${new Date().toISOString()})`
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return `its certificate does not name ${host}; use one of its names, or add this one to the server's PURSER_TLS_NAMES`
  }
  if (/^(?:ERR_SSL|EPROTO)/.test(code)) return 'it does not speak TLS as expected; check that this is its https address'
  return 'its certificate is under no trusted root; set PURSER_CA_FILE or PURSER_CA_SHA256'
}
