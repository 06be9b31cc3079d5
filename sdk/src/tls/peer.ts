/** The peer of a verified connection. */
import { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import type { DetailedPeerCertificate, PeerCertificate, TLSSocket } from 'node:tls'
import { fieldsOf } from '../certificates/fields.ts'
import { urisOf } from '../certificates/certificates.ts'
import { PurserError } from '../errors.ts'
import { readSpiffeId } from '../identity/spiffe-id.ts'
import type { Peer } from '../types/tls.ts'

/** A peer with its chain, leaf first, each certificate signed by the next. `endsAt`: milliseconds since 1970. */
export type VerifiedPeer = { peer: Peer; chain: readonly X509Certificate[]; endsAt: number }

const bad = (why: string): PurserError => new PurserError('bad_peer', `the peer's certificate ${why}`)

/**
 * Checks a chain that TLS has verified by the rules of SPIFFE (X509-SVID section 5.2): exactly one URI, of a workload in our
 * trust domain, and not of a certificate authority.
 * @throws PurserError `bad_peer`
 */
export function readPeer(chain: readonly X509Certificate[], trustDomain: string): VerifiedPeer {
  const [leaf] = chain
  if (!leaf) throw bad('is missing')
  // Node quotes a name that reads as several (CVE-2021-44532). Purser issues none.
  if (leaf.subjectAltName?.includes('"')) throw bad('has a name that reads as several')
  const [uri, ...more] = urisOf(leaf)
  if (uri === undefined) throw bad('has no SPIFFE ID')
  if (more.length > 0) throw bad('has more than one URI, which a SPIFFE certificate must not')
  const id = readSpiffeId(uri)
  if (!id || id.path === '') throw bad('has a URI that is not the SPIFFE ID of a workload')
  if (id.trustDomain !== trustDomain) throw bad(`is of another trust domain, ${id.trustDomain}`)
  if (leaf.ca || isAuthority(leaf)) throw bad('is of a certificate authority, not of a workload')
  const endsAt = Math.min(...chain.map(({ validTo }) => Date.parse(validTo)))
  return { peer: { spiffeId: uri, trustDomain, certificate: leaf }, chain, endsAt }
}

function isAuthority(leaf: X509Certificate): boolean {
  try {
    const { isCa, keyUsage } = fieldsOf(leaf)
    // Section 4.3 requires the extension.
    return isCa || !keyUsage || keyUsage.signsCertificates || keyUsage.signsCrls
  } catch {
    throw bad('is not strict DER')
  }
}

/**
 * Orders the certificates that a peer sent into a chain, each signed by the next. Only the leaf is certain to come first;
 * others may be in any order or unrelated (RFC 8446 section 4.4.2).
 */
export function chainOf(certificates: Iterable<X509Certificate>): X509Certificate[] {
  const others: X509Certificate[] = []
  for (const certificate of certificates) if (others.push(certificate) === maxSent) break
  const chain: X509Certificate[] = []
  for (let next = others.shift(); next;) {
    const below = next
    chain.push(below)
    next = others.find(
      (other) => below.checkIssued(other) && below.verify(other.publicKey) && !chain.some(isSame(other)),
    )
  }
  return chain
}

const maxSent = 16
const isSame =
  (certificate: X509Certificate) =>
  (other: X509Certificate): boolean =>
    other.fingerprint256 === certificate.fingerprint256

/** The certificates that a socket's peer sent, in its order. */
export function* certificatesOf(socket: TLSSocket): Iterable<X509Certificate> {
  for (let next = socket.getPeerX509Certificate(); next; next = next.issuerCertificate) yield next
}

/** The same for Node's older form, which ends with a certificate that is its own issuer or has none. */
export function* certificatesIn(certificate: PeerCertificate): Iterable<X509Certificate> {
  let next: Partial<DetailedPeerCertificate> | undefined = certificate
  for (; next?.raw; next = next.issuerCertificate) {
    yield new X509Certificate(next.raw)
  }
}

const peers = new WeakMap<Socket, VerifiedPeer>()

export const verifiedPeerOf = (socket: Socket): VerifiedPeer | undefined => peers.get(socket)
export const rememberPeer = (socket: Socket, peer: VerifiedPeer): unknown => peers.set(socket, peer)

/**
 * The verified peer of a connection that `purser.tls` opened or accepted: of a request to `tls.server`, of a response
 * through `tls.agent`, or of the socket itself.
 * @throws PurserError `bad_peer` if `purser.tls` verified no peer
 */
export function peerOf(from: Socket | { readonly socket: Socket }): Peer {
  const verified = verifiedPeerOf('socket' in from ? from.socket : from)
  if (!verified)
    throw new PurserError('bad_peer', 'the connection is not one of purser.tls, so its peer is not verified')
  return verified.peer
}
