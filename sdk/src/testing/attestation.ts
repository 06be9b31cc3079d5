/**
 * Exchanges a proof for a session. It attests nothing: a proof is any JWT whose `sub` names an entry, signed by any key.
 * Audience and expiry are checked, since programs set them.
 */
import { X509Certificate, createPrivateKey, hash, randomBytes } from 'node:crypto'
import type { Presented } from '../connection/http.ts'
import type { Fields } from '../json/fields.ts'
import { claimsOf } from '../json/parse.ts'
import type { Authority } from './authority.ts'
import type { Entries, WorkloadEntry } from './entries.ts'
import { hidden, invalid } from './refusal.ts'
import type { Session, Sessions } from './sessions.ts'

export type Attested = {
  kind: 'jwt' | 'join-token' | 'x509'
  entry: WorkloadEntry
  session: Session
  /** The proof was used before with the same key: only what is bound to that key is issued. */
  repeated?: true
  /** The serial number that is presented for renewal. */
  renews?: string
}

type JoinToken = { spiffeId: string; uses: number; expiresAt: Date; keys: Set<string> }

type Parts = { audience: string; authority: Authority; entries: Entries; sessions: Sessions; now: () => Date }

export function createAttestation({ audience, authority, entries, sessions, now }: Parts) {
  const joinTokens = new Map<string, JoinToken>()

  /** @returns the serial number of a live certificate whose key the caller has, as TLS would show; else undefined */
  function serialOf(as: Presented | undefined): string | undefined {
    if (!as) return undefined
    const leaf = new X509Certificate(as.cert)
    const isValid = new Date(leaf.validFrom) <= now() && new Date(leaf.validTo) > now()
    if (!isValid || !authority.signedBy(leaf) || !leaf.checkPrivateKey(createPrivateKey(as.key))) return undefined
    return leaf.serialNumber.toLowerCase()
  }

  function openSession(kind: Attested['kind'], instance: string, entry: WorkloadEntry | undefined): Attested {
    if (!entry) throw hidden('no_workload')
    const session = sessions.open(instance, entry)
    if (!session) throw hidden('blocked')
    return { kind, entry, session }
  }

  function byJwt(token: string): Attested {
    const claims = claimsOf(token)
    if (!claims) throw hidden('proof_malformed')
    const { sub, aud, exp, jti } = claims
    if (![aud].flat().includes(audience)) throw hidden('proof_issuer')
    if (typeof exp === 'number' && exp * 1000 <= now().getTime()) throw hidden('proof_expired')
    const instance = typeof jti === 'string' ? jti : hash('sha256', token)
    return openSession('jwt', `jwt ${instance}`, typeof sub === 'string' ? entries.find(sub) : undefined)
  }

  /** A use is bound to the key that it certifies: the same key may repeat it. */
  function byJoinToken(token: string, key: string | undefined): Attested {
    if (key === undefined) throw invalid('/x509', 'a join token is bound at its use to a key')
    const joinToken = joinTokens.get(token)
    if (!joinToken || joinToken.expiresAt <= now()) throw hidden('join_token')
    const { spiffeId, uses, keys } = joinToken
    const isRepeated = keys.has(key)
    if (!isRepeated && keys.size >= uses) throw hidden('join_token')
    const attested = openSession('join-token', `join ${token} ${key}`, entries.get(spiffeId))
    keys.add(key)
    return { ...attested, ...(isRepeated && { repeated: true }) }
  }

  function byCertificate(as: Presented | undefined): Attested {
    const serialNumber = serialOf(as)
    if (serialNumber === undefined) throw hidden('client_certificate')
    const session = sessions.byCertificate(serialNumber)
    const entry = session && entries.get(session.entry.spiffeId)
    if (!session || !entry) throw hidden('session_ended')
    return { kind: 'x509', entry, session, renews: serialNumber }
  }

  return {
    serialOf,
    /**
     * @param key the SHA-256 of the key to certify; undefined without a certificate
     * @throws Refusal
     */
    attest(proof: Fields, as: Presented | undefined, key: string | undefined): Attested {
      const { kind, token } = proof
      if (kind === 'x509') return byCertificate(as)
      if (typeof token !== 'string') throw invalid('/proof/token', 'it must be text')
      if (kind === 'jwt') return byJwt(token)
      if (kind === 'join-token') return byJoinToken(token, key)
      throw invalid('/proof/kind', 'it is jwt, join-token or x509')
    },

    /** A JWT in place of an orchestrator's token. */
    proofFor(spiffeId: string, claims: Fields): string {
      const iat = Math.floor(now().getTime() / 1000)
      const all = { iss: 'https://issuer.test', sub: spiffeId, aud: audience, iat, exp: iat + 3600, ...claims }
      const segments = [JSON.stringify({ alg: 'ES256', kid: 'none' }), JSON.stringify(all), 'not signed']
      return segments.map((segment) => Buffer.from(segment).toString('base64url')).join('.')
    },

    joinToken(spiffeId: string, { uses, lifetimeSeconds }: { uses: number; lifetimeSeconds: number }): string {
      const token = `purser_join_${randomBytes(32).toString('base64url')}`
      const expiresAt = new Date(now().getTime() + lifetimeSeconds * 1000)
      joinTokens.set(token, { spiffeId, uses, expiresAt, keys: new Set() })
      return token
    },
  }
}
