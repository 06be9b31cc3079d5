/** What a proof may do once, as a claim that the append judges. */
import { type KeyObject, createHash, createHmac } from 'node:crypto'
import type { Attested, Proof, Renewed } from '../../attest/attest.ts'
import { refuse } from '../../errors.ts'
import type { X509Request } from '../../issue/x509.ts'
import { claimState } from '../../store/claims.ts'
import type { Knex } from '../../store/database.ts'
import type { Claim } from '../../store/effects.ts'

/** A claim is stored a day longer than its proof lives, so that a clock that is behind does not accept the proof again. */
const graceMs = 24 * 3600_000

/** Each use of a join token is an instance of its own, named by the key that it certifies. */
export const boundToKey = (attested: Attested, key: string): Attested => ({
  ...attested,
  instance: [...attested.instance, key],
})

/** A proof or a serial number serves the same key again for this long, since replies get lost. */
export const repeatMs = 60_000

/** `unbound`: the request includes credentials that are of use without the certified key. */
type Use = { certifiedKey: string | undefined; unbound: boolean }

/**
 * A join token gives one use to each key; a single-use proof is claimed by attestor and its own id. The same key may repeat
 * either within 60 s. A repeat does not prove possession of the key, so it releases only what is bound to it. Without a CSR
 * there is no key to recognize, so there is no repeat.
 * @param use.certifiedKey the SHA-256 of the key to certify; the request's id where Purser generates the key
 */
export function claimFor(
  attested: Attested,
  { certifiedKey, unbound }: Use,
  mac: KeyObject,
  requestId: string,
): Claim | undefined {
  const { singleUse, attestor, joinToken, renews } = attested
  if (renews) return certifiedKey === undefined ? undefined : renewalClaim(renews, certifiedKey, mac)
  const first = unbound ? ({ first: true } as const) : {}
  if (joinToken) return { ...joinClaim(joinToken, certifiedKey, mac), ...first }
  if (!singleUse) return undefined
  return {
    key: keyed(mac, ['proof', attestor.id, singleUse.id]),
    holder: sha256(certifiedKey ?? requestId),
    until: afterGrace(singleUse.until),
    ...first,
  }
}

/** The claim of a repeat, which releases only what is bound to the key. */
export const withoutFirst = ({ key, holder, until }: Claim): Claim => ({ key, holder, until })

export const serialKey = ({ session, serialNumber }: Renewed, mac: KeyObject): Buffer =>
  keyed(mac, ['renewal', session.id, serialNumber])

/** A serial number renews one certificate. A renewal without a certificate claims nothing. */
const renewalClaim = (renewed: Renewed, certifiedKey: string, mac: KeyObject): Claim => ({
  key: serialKey(renewed, mac),
  holder: sha256(certifiedKey),
  until: afterGrace(renewed.session.expiresAt),
})

function joinClaim(token: NonNullable<Attested['joinToken']>, certifiedKey: string | undefined, mac: KeyObject): Claim {
  if (certifiedKey === undefined) throw new Error('a join token was redeemed without a key')
  const key = keyed(mac, ['join', token.id, certifiedKey])
  return { key, holder: sha256(certifiedKey), until: afterGrace(token.expiresAt) }
}

const afterGrace = (end: Date): Date => new Date(end.getTime() + graceMs)

const keyed = (mac: KeyObject, fields: readonly string[]): Buffer =>
  createHmac('sha256', mac).update(JSON.stringify(fields)).digest()

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest()

/**
 * What a repeat may have: parts that are of no use without the certified key. Every other part is withheld from it, also a
 * kind of credential that is added later.
 */
type Bound = { proof: Proof; attestor?: string; workload?: string; x509?: X509Request }

export function includesUnbound({ proof: _, attestor: __, workload: ___, x509: ____, ...unbound }: Bound): boolean {
  return Object.values(unbound).some((part) => part !== undefined)
}

/** The same request without the other parts. */
export const withoutUnbound = ({ proof, attestor, workload, x509 }: Bound): Bound => ({
  proof,
  ...(attestor !== undefined && { attestor }),
  ...(workload !== undefined && { workload }),
  ...(x509 && { x509 }),
})

/**
 * Whether the claim seems to be a repeat: a single-use proof that is presented again with the same key. The append decides;
 * this look avoids outside effects that would be undone.
 * @throws Refusal where another key claimed it, or the same key too long ago
 */
export async function seemsRepeated(knex: Knex, claim: Claim, { joinToken }: Attested, now: Date): Promise<boolean> {
  const state = await claimState(knex, claim, new Date(now.getTime() - repeatMs))
  if (state === 'spent') throw refuse(joinToken ? 'join_token' : 'proof_replayed')
  return state === 'repeatable'
}
