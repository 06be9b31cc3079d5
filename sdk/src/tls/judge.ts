/** Whether a peer that TLS verified is let in: at the handshake, and again at each later use of its connection. */
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

export type Judge = {
  /** @throws PurserError `bad_peer`, `expired`, `revoked` */
  meet(chain: readonly X509Certificate[]): VerifiedPeer
  /** Why a peer that was let in is not any more. */
  look(known: VerifiedPeer): PurserError | undefined
}

/** @throws PurserError `bad_options`, `not_requested`, `expired`, `closed` */
export function createJudge({ source, warn, now }: TlsParts, accept: Accept): Judge {
  const { trustDomain } = source
  const roots = createRoots(source)
  roots()
  const accepts = readAccept(accept, trustDomain, warn)
  /** Under which roots a peer was last found to be. */
  const under = new WeakMap<VerifiedPeer, readonly X509Certificate[]>()

  function isUnder(known: VerifiedPeer, current: readonly X509Certificate[]): boolean {
    if (under.get(known) === current) return true
    const found = known.chain.some((certificate) => current.some((root) => isOf(certificate, root)))
    if (found) under.set(known, current)
    return found
  }

  function look(known: VerifiedPeer): PurserError | undefined {
    const { peer, chain, endsAt } = known
    const { spiffeId, certificate } = peer
    if (endsAt <= now()) return new PurserError('expired', `the certificate of ${spiffeId} ended`)
    if (!isUnder(known, roots()))
      return new PurserError('bad_peer', `the certificate of ${spiffeId} is under no root that is trusted now`)
    if (source.revoked.includes(chain))
      return new PurserError('revoked', `the certificate ${certificate.serialNumber} of ${spiffeId} was revoked`)
    if (!accepts(spiffeId)) return new PurserError('bad_peer', `${spiffeId} is not accepted here`)
    return undefined
  }

  return {
    meet(chain) {
      const known = readPeer(chain, trustDomain)
      const refused = look(known)
      if (refused) throw refused
      return known
    },
    look,
  }
}

const isOf = (certificate: X509Certificate, root: X509Certificate): boolean =>
  certificate.fingerprint256 === root.fingerprint256 ||
  (certificate.checkIssued(root) && certificate.verify(root.publicKey))

/** The roots as they are now; where our own certificate is over, as they were last. */
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
