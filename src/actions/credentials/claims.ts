/** What a proof may do once, as the log's append judges it. */
import { type KeyObject, createHash, createHmac } from 'node:crypto'
import type { Attested, Renewed } from '../../attest/attest.ts'
import type { Claim } from '../../store/effects.ts'

/** Kept a day longer than the proof lives, so that no clock that is behind takes it again. */
const grace = 24 * 3600_000

/** A join token's uses are instances of their own, told apart by the key that each is redeemed with. */
export const boundToKey = (attested: Attested, key: string): Attested => ({
  ...attested,
  instance: [...attested.instance, key],
})

/** For so long a proof or a serial number serves the same key again, since replies get lost. */
export const repeatMs = 60_000

/** What a request asks for that is of use without the key that it has certified. */
export type Asked = { certified: string | undefined; unbound: boolean }

/**
 * A join token gives one use to each key, and a proof that is taken once is keyed by attestor and its own id. The same key
 * may repeat either within 60 s. A repeat proves no possession of that key, so it gets only what is bound to it. Without a
 * CSR there is no key to recognize, so it cannot be repeated.
 * @param certified the SHA-256 of the key that is to be certified; where the key is yet to be made, the request's id
 */
export function claimFor(
  attested: Attested,
  { certified, unbound }: Asked,
  mac: KeyObject,
  requestId: string,
): Claim | undefined {
  const { once, attestor, joinToken, renews } = attested
  if (renews) return certified === undefined ? undefined : spends(renews, certified, mac)
  const first = unbound ? ({ first: true } as const) : {}
  if (joinToken) return { ...useOf(joinToken, certified, mac), ...first }
  if (!once) return undefined
  const until = new Date(once.until.getTime() + grace)
  return { key: keyed(mac, ['proof', attestor.id, once.id]), holder: sha256(certified ?? requestId), until, ...first }
}

/** The claim of a repeat, which releases only what is bound to the key. */
export const withoutFirst = ({ key, holder, until }: Claim): Claim => ({ key, holder, until })

export const serialKey = ({ session, serialNumber }: Renewed, mac: KeyObject): Buffer =>
  keyed(mac, ['renewal', session.id, serialNumber])

/** A serial number renews once; what gets no new certificate spends none. */
const spends = (renewed: Renewed, certified: string, mac: KeyObject): Claim => ({
  key: serialKey(renewed, mac),
  holder: sha256(certified),
  until: new Date(renewed.session.expiresAt.getTime() + grace),
})

function useOf(token: NonNullable<Attested['joinToken']>, certified: string | undefined, mac: KeyObject): Claim {
  if (certified === undefined) throw new Error('a join token was redeemed without a key')
  const until = new Date(token.expiresAt.getTime() + grace)
  return { key: keyed(mac, ['join', token.id, certified]), holder: sha256(certified), until }
}

const keyed = (mac: KeyObject, fields: readonly string[]): Buffer =>
  createHmac('sha256', mac).update(JSON.stringify(fields)).digest()

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest()
