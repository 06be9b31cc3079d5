/**
 * What the command trusts of a server, before anything is sent to it: a file of roots, a root by its fingerprint, or the
 * system's roots. Never nothing.
 */
import { createHash } from 'node:crypto'
import { type DetailedPeerCertificate, type TLSSocket, connect } from 'node:tls'
import { CliError, exitCodes } from './io.ts'

/** `host` as in a URL without its brackets: what TLS and certificates call it. */
export const hostOf = (url: URL): string => url.hostname.replace(/^\[|\]$/g, '')

/** Lower-case hex of one or more SHA-256 fingerprints, written with or without colons, between commas. */
export function parseFingerprints(text: string): Set<string> {
  const all = text.split(',').map((one) => one.trim().replaceAll(':', '').toLowerCase())
  if (!all.every((one) => /^[0-9a-f]{64}$/.test(one))) {
    throw new CliError('PURSER_CA_SHA256 must be SHA-256 fingerprints: 64 hexadecimal digits each', exitCodes.usage)
  }
  return new Set(all)
}

const pem = (der: Buffer): string =>
  `-----BEGIN CERTIFICATE-----\n${(der.toString('base64').match(/.{1,64}/g) ?? []).join('\n')}\n-----END CERTIFICATE-----\n`

/** The certificates that the server sent, leaf first. A self-signed one is its own issuer and ends the list. */
function* sentBy(socket: TLSSocket): Generator<Buffer> {
  let one: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
  while (one?.raw) {
    yield one.raw
    one = one.issuerCertificate === one ? undefined : one.issuerCertificate
  }
}

/**
 * The root with that fingerprint, as the server sends it: PEM. This connection carries nothing. Presence in a chain
 * proves nothing either: the caller makes it the only anchor of an ordinary verification, on a new connection.
 */
export function fetchRoot(url: URL, fingerprints: ReadonlySet<string>, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const host = hostOf(url)
    const socket = connect({
      host,
      port: Number(url.port || 443),
      ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
      rejectUnauthorized: false,
    })
    socket.setTimeout(timeoutMs, () => socket.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })))
    socket.once('error', reject)
    socket.once('secureConnect', () => {
      const root = [...sentBy(socket)].find((der) => fingerprints.has(createHash('sha256').update(der).digest('hex')))
      socket.destroy()
      if (root) resolve(pem(root))
      else reject(new CliError(`${url.origin} sent no certificate that PURSER_CA_SHA256 names`, exitCodes.unreachable))
    })
  })
}
