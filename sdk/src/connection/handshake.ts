/** TLS connections to the server: verified before anything is written, and the one look at a chain that isn't. */
import type { X509Certificate } from 'node:crypto'
import { connect as connectPlain, isIP, type Socket } from 'node:net'
import { type ConnectionOptions, type TLSSocket, connect as connectTls } from 'node:tls'
import type { Address } from './address.ts'
import { fingerprintOf, urisOf } from '../certificates/certificates.ts'
import { PurserError } from '../errors.ts'

const base = ({ host, port }: Address): ConnectionOptions => ({
  host,
  port,
  // RFC 6066 section 3: no addresses in SNI. The certificate is checked against `host` either way.
  ...(isIP(host) === 0 && { servername: host }),
  minVersion: 'TLSv1.2',
})

/** What the server is verified against: PEM of the only anchors, or undefined for those that come with Node.js; and the same in words. */
export type Anchors = { pem: string[] | undefined; words: string }

/**
 * A connection on which nothing was written yet: verified, or plain where the address says so.
 * @param as the certificate to present, with its key, PEM
 * @throws PurserError `untrusted_server`, `unreachable`; whatever the signal gives as its reason
 */
export async function openConnection(
  address: Address,
  anchors: Anchors,
  signal: AbortSignal,
  as?: { key: string; cert: string },
): Promise<Socket> {
  if (!address.tls) {
    const plain = connectPlain({ host: address.host, port: address.port })
    return settled(plain, 'connect', address, signal)
  }
  // Said outright: NODE_TLS_REJECT_UNAUTHORIZED must not switch it off.
  const trusted = anchors.pem && { ca: anchors.pem }
  const socket = connectTls({ ...base(address), ...trusted, ...as, rejectUnauthorized: true })
  await settled(socket, 'secureConnect', address, signal, anchors.words)
  const leaf = socket.getPeerX509Certificate()
  // Workloads may hold certificates under the same root; this name is granted to none of them.
  const other = leaf && urisOf(leaf).find((uri) => !/^spiffe:\/\/[^/]+\/purser\/server$/.test(uri))
  if (!socket.authorized || !leaf || other !== undefined) {
    socket.destroy()
    throw new PurserError(
      'untrusted_server',
      `${address.origin} is no Purser: its certificate is of ${other ?? 'nobody'}`,
    )
  }
  return socket
}

/**
 * The certificate with one of the fingerprints, out of the chain that the server sends. Its presence proves nothing:
 * it becomes the only anchor of an ordinary verification on another connection. Nothing is written on this one.
 * @throws PurserError `fingerprint_mismatch`, `unreachable`
 */
export async function findAnchor(
  address: Address,
  fingerprints: readonly string[],
  signal: AbortSignal,
): Promise<X509Certificate> {
  const socket: TLSSocket = connectTls({ ...base(address), rejectUnauthorized: false })
  try {
    await settled(socket, 'secureConnect', address, signal)
    const seen: string[] = []
    for (let one = socket.getPeerX509Certificate(); one && seen.length < maxChainLength; one = one.issuerCertificate) {
      if (fingerprints.includes(fingerprintOf(one))) return one
      seen.push(fingerprintOf(one))
    }
    throw new PurserError(
      'fingerprint_mismatch',
      `no certificate that ${address.origin} sent has the given SHA-256 fingerprint (it sent ${seen.join(', ')}). ` +
        'Compare with the root itself: openssl x509 -in ca.pem -noout -fingerprint -sha256',
    )
  } finally {
    socket.destroy()
  }
}

const maxChainLength = 16

function settled<S extends Socket>(
  socket: S,
  event: 'connect' | 'secureConnect',
  address: Address,
  signal: AbortSignal,
  trusted?: string,
): Promise<S> {
  // Whoever waits for it keeps the process alive: see holding.ts.
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
    // Stays for as long as the socket lives: an error that comes late has a listener, and goes nowhere.
    socket.on('error', fail)
    socket.once(event, () => {
      signal.removeEventListener('abort', onAbort)
      socket.off('close', onClose)
      resolve(socket)
    })
  })
}

const tlsFault = /^(?:ERR_TLS|ERR_SSL|ERR_OSSL|EPROTO|CERT_|CRL_|UNABLE_TO_|ERROR_IN_|SELF_SIGNED|DEPTH_ZERO|INVALID_|PATH_LENGTH|HOSTNAME_)/ // prettier-ignore

/** A failed connection in words that say what to do. */
export function connectionError(error: unknown, { origin, host }: Address, trusted?: string): PurserError {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown'
  if (!tlsFault.test(code)) {
    return new PurserError(
      'unreachable',
      `${origin} can't be reached (${code}); is PURSER_ADDR right, and Purser up?`,
      {
        cause: error,
      },
    )
  }
  const trust = trusted === undefined ? '' : ` (trusted: ${trusted})`
  return new PurserError(
    'untrusted_server',
    `${origin} is not verified (${code}), so nothing was sent: ${adviceFor(code, host)}${trust}`,
    {
      cause: error,
    },
  )
}

function adviceFor(code: string, host: string): string {
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    return `a certificate of its chain is not valid now, by this machine's clock (${new Date().toISOString()})`
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return `its certificate is for other names than ${host}; call it by one of them, or add the name to PURSER_TLS_NAMES there`
  }
  if (/^(?:ERR_SSL|EPROTO)/.test(code)) return 'it does not speak TLS as expected; is this its https address?'
  return 'its certificate is under no root that is trusted here; set PURSER_CA_FILE or PURSER_CA_SHA256'
}
