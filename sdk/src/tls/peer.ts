/** Who is on the other end of a verified connection. */
import { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import type { DetailedPeerCertificate, PeerCertificate, TLSSocket } from 'node:tls'
import { fieldsOf } from '../certificates/fields.ts'
import { urisOf } from '../certificates/certificates.ts'
import { PurserError } from '../errors.ts'
import { readSpiffeId } from '../identity/spiffe-id.ts'
import type { Peer } from '../types/tls.ts'

/** A peer with its chain, leaf first, as far as each is signed by the next. */
export type VerifiedPeer = { peer: Peer; chain: readonly X509Certificate[]; endsAt: number }

const bad = (why: string): PurserError => new PurserError('bad_peer', `the peer's certificate ${why}`)

/**
 * Reads the chain of a peer by the rules of SPIFFE (X509-SVID section 5.2), TLS having verified it already: exactly one
 * URI, a workload's of our trust domain, and no certificate authority's.
 * @throws PurserError `bad_peer`
 */
export function readPeer(chain: readonly X509Certificate[], trustDomain: string): VerifiedPeer {
  const [leaf] = chain
  if (!leaf) throw bad('is missing')
  // Node quotes a name that could be read as two (CVE-2021-44532); no certificate of Purser's has one.
  if (leaf.subjectAltName?.includes('"')) throw bad('has a name that reads as several')
  const [uri, ...more] = urisOf(leaf)
  if (uri === undefined) throw bad('has no SPIFFE ID')
  if (more.length > 0) throw bad('has more than one URI, which a SPIFFE certificate must not')
  const id = readSpiffeId(uri)
  if (!id || id.path === '') throw bad('names no workload by its URI')
  if (id.trustDomain !== trustDomain) throw bad(`is of another trust domain, ${id.trustDomain}`)
  if (leaf.ca || isAuthority(leaf)) throw bad("is an authority's, and those identify nobody")
  const endsAt = Math.min(...chain.map(({ validTo }) => Date.parse(validTo)))
  return { peer: { spiffeId: uri, trustDomain, certificate: leaf }, chain, endsAt }
}

function isAuthority(leaf: X509Certificate): boolean {
  try {
    const { isCa, keyUsage } = fieldsOf(leaf)
    // Section 4.3 wants the extension to be there.
    return isCa || !keyUsage || keyUsage.signsCertificates || keyUsage.signsCrls
  } catch {
    throw bad('is not strict DER')
  }
}

/**
 * The leaf and what is above it among the certificates that its peer sent, each really signed by the next. They may come
 * in any order, and with others (RFC 8446 section 4.4.2): only the leaf is first.
 */
export function chainOf(sent: Iterable<X509Certificate>): X509Certificate[] {
  const others: X509Certificate[] = []
  for (const certificate of sent) if (others.push(certificate) === maxSent) break
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

/** What a socket's peer sent, in its order. */
export function* certificatesOf(socket: TLSSocket): Iterable<X509Certificate> {
  for (let one = socket.getPeerX509Certificate(); one; one = one.issuerCertificate) yield one
}

/** The same in Node's older form, which ends in one that is its own issuer or has none. */
export function* certificatesIn(certificate: PeerCertificate): Iterable<X509Certificate> {
  for (let one: Partial<DetailedPeerCertificate> | undefined = certificate; one?.raw; one = one.issuerCertificate) {
    yield new X509Certificate(one.raw)
  }
}

const met = new WeakMap<Socket, VerifiedPeer>()

export const verifiedPeerOf = (socket: Socket): VerifiedPeer | undefined => met.get(socket)
export const rememberPeer = (socket: Socket, known: VerifiedPeer): unknown => met.set(socket, known)

/**
 * The verified peer of a connection that `purser.tls` made or took: of a request to `tls.server`, of a response on
 * `tls.agent`, or of the socket itself.
 * @throws PurserError `bad_peer` where no peer was verified by `purser.tls`
 */
export function peerOf(from: Socket | { readonly socket: Socket }): Peer {
  const known = verifiedPeerOf('socket' in from ? from.socket : from)
  if (!known) throw new PurserError('bad_peer', 'no peer was verified here: the connection is none of purser.tls')
  return known.peer
}
