/** What a proof may do once, as the log's append judges it. */
import { type KeyObject, createHash, createHmac } from 'node:crypto'
import type { Attested, Renewed } from '../attest/attest.ts'
import type { Issued } from '../audit/entry.ts'
import type { Claim } from '../store/log.ts'

/** Kept a day longer than the proof lives, so that no clock that is behind takes it again. */
const grace = 24 * 3600_000

/** A join token's uses are instances of their own, told apart by the key that each is redeemed with. */
export const boundToKey = (attested: Attested, key: string): Attested => ({
  ...attested,
  instance: [...attested.instance, key],
})

/**
 * A join token gives one use to each key, and a proof that is taken once is keyed by attestor and its own id. Whoever
 * repeats either within 60 s with the same key is served again, since replies get lost; without a CSR there is no key to
 * recognize, so nobody can repeat.
 */
export function claimFor(attested: Attested, issued: Issued, mac: KeyObject, requestId: string): Claim | undefined {
  const { once, attestor, joinToken, renews } = attested
  if (renews) return issued.x509 && spends(renews, issued.x509, mac)
  if (joinToken) return useOf(joinToken, issued, mac)
  if (!once) return undefined
  const key = createHmac('sha256', mac)
    .update(JSON.stringify(['proof', attestor.id, once.id]))
    .digest()
  return {
    key,
    holder: createHash('sha256')
      .update(issued.x509?.publicKeySha256 ?? requestId)
      .digest(),
    until: new Date(once.until.getTime() + grace),
  }
}

export const serialKey = ({ session, serialNumber }: Renewed, mac: KeyObject): Buffer =>
  createHmac('sha256', mac)
    .update(JSON.stringify(['renewal', session.id, serialNumber]))
    .digest()

/** A serial number renews once; what gets no new certificate spends none. */
const spends = (renewed: Renewed, { publicKeySha256 }: NonNullable<Issued['x509']>, mac: KeyObject): Claim => ({
  key: serialKey(renewed, mac),
  holder: createHash('sha256').update(publicKeySha256).digest(),
  until: new Date(renewed.session.expiresAt.getTime() + grace),
})

function useOf(token: NonNullable<Attested['joinToken']>, { x509 }: Issued, mac: KeyObject): Claim {
  if (!x509) throw new Error('a join token was redeemed without a key')
  const fields = JSON.stringify(['join', token.id, x509.publicKeySha256])
  return {
    key: createHmac('sha256', mac).update(fields).digest(),
    holder: createHash('sha256').update(x509.publicKeySha256).digest(),
    until: new Date(token.expiresAt.getTime() + grace),
  }
}
