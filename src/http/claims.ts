/** What a proof may do once, as the log's append judges it. */
import { type KeyObject, createHash, createHmac } from 'node:crypto'
import type { Attested } from '../attest/attest.ts'
import type { Issued } from '../audit/entry.ts'
import type { Claim } from '../store/log.ts'

/** Kept a day longer than the proof lives, so that no clock that is behind takes it again. */
const grace = 24 * 3600_000

/**
 * A proof that is taken once is keyed by attestor and its own id. Whoever repeats it within 60 s with the same key is
 * served again, since replies get lost; without a CSR there is no key to recognize, so nobody can repeat.
 */
export function claimFor(attested: Attested, issued: Issued, mac: KeyObject): Claim | undefined {
  const { once, attestor } = attested
  if (!once) return undefined
  const key = createHmac('sha256', mac)
    .update(JSON.stringify(['proof', attestor.id, once.id]))
    .digest()
  const holder = issued.x509?.publicKeySha256
  return {
    key,
    holder: createHash('sha256')
      .update(holder ?? `once ${issued.accessToken?.id ?? issued.jwts?.[0]?.jti ?? once.id}`)
      .digest(),
    until: new Date(once.until.getTime() + grace),
  }
}
