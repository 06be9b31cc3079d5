/** Decides whether to accept a peer that TLS verified: at the handshake, and at each later use of the connection. */
import { X509Certificate } from 'node:crypto'
import { readCertificates } from '../certificates/certificates.ts'
import { PurserError } from '../errors.ts'
import type { IdentitySource } from '../identity/source.ts'
import { readAccept } from '../identity/accept.ts'
import { type VerifiedPeer, readPeer } from './peer.ts'
import type { Accept } from '../types/tls-options.ts'

export type TlsParts = {
  source: IdentitySource
  warn: (warning: string) => void
  now: () => number
}

export type Judge = ReturnType<typeof createJudge>

/** @throws PurserError `bad_options`, `not_requested`, `expired`, `closed` */
export function createJudge({ source, warn, now }: TlsParts, accept: Accept) {
  const { trustDomain } = source
  const roots = createRoots(source)
  // Throws now if there is no certificate.
  roots()
  const accepts = readAccept(accept, trustDomain, warn)
  /** The roots that a peer was last verified with. */
  const verifiedWith = new WeakMap<VerifiedPeer, readonly X509Certificate[]>()

  function isUnder(peer: VerifiedPeer, current: readonly X509Certificate[]): boolean {
    if (verifiedWith.get(peer) === current) return true
    const isTrusted = peer.chain.some((certificate) => current.some((root) => isIssuedBy(certificate, root)))
    if (isTrusted) verifiedWith.set(peer, current)
    return isTrusted
  }

  /** Why a peer is no longer accepted; undefined if it is. */
  function check(verified: VerifiedPeer): PurserError | undefined {
    const { peer, chain, endsAt } = verified
    const { spiffeId, certificate } = peer
    if (endsAt <= now()) return new PurserError('expired', `the certificate of ${spiffeId} has expired`)
    if (!isUnder(verified, roots()))
      return new PurserError('bad_peer', `the certificate of ${spiffeId} is under no trusted root`)
    if (source.revoked.includes(chain))
      return new PurserError('revoked', `the certificate ${certificate.serialNumber} of ${spiffeId} was revoked`)
    if (!accepts(spiffeId)) return new PurserError('bad_peer', `${spiffeId} is not accepted here`)
    return undefined
  }

  return {
    /** @throws PurserError `bad_peer`, `expired`, `revoked` */
    admit(chain: readonly X509Certificate[]): VerifiedPeer {
      const verified = readPeer(chain, trustDomain)
      const refusal = check(verified)
      if (refusal) throw refusal
      return verified
    },
    check,
  }
}

const isIssuedBy = (certificate: X509Certificate, root: X509Certificate): boolean =>
  certificate.fingerprint256 === root.fingerprint256 ||
  (certificate.checkIssued(root) && certificate.verify(root.publicKey))

/** The current roots; after our own certificate has expired, the last ones. */
function createRoots(source: IdentitySource): () => readonly X509Certificate[] {
  let text: string | undefined
  let parsed: readonly X509Certificate[] = []
  return () => {
    try {
      const { trustBundle } = source.identity()
      if (trustBundle !== text) parsed = readCertificates(trustBundle) ?? []
      text = trustBundle
    } catch (error) {
      if (text === undefined) throw error
    }
    return parsed
  }
}
