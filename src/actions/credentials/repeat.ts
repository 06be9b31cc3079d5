/**
 * A single-use proof that is presented again with the same key. It does not prove possession of that key: an observer of
 * the first request could send it. A repeat therefore gets only the certificate, which is useless without the key.
 */
import type { Attested } from '../../attest/attest.ts'
import { refuse } from '../../errors.ts'
import { claimState } from '../../store/claims.ts'
import type { Knex } from '../../store/database.ts'
import type { Claim } from '../../store/effects.ts'
import { repeatMs } from './claims.ts'

/** The parts of a request that are of use without the certified key. */
type Unbound = { jwts?: unknown; secrets?: unknown; databases?: unknown; accessToken?: unknown }

export const includesUnbound = ({ jwts, secrets, databases, accessToken }: Unbound): boolean =>
  [jwts, secrets, databases, accessToken].some((part) => part !== undefined)

/** The same request without those parts. */
export function withoutUnbound<T extends Unbound>(request: T): Omit<T, keyof Unbound> {
  const { jwts: _, secrets: __, databases: ___, accessToken: ____, ...bound } = request
  return bound
}

/**
 * Whether the claim seems to be a repeat. The append decides; this look spares outside effects that would be undone.
 * @throws Refusal where another key claimed it, or the same key too long ago
 */
export async function seemsRepeated(knex: Knex, claim: Claim, { joinToken }: Attested, now: Date): Promise<boolean> {
  const state = await claimState(knex, claim, new Date(now.getTime() - repeatMs))
  if (state === 'spent') throw refuse(joinToken ? 'join_token' : 'proof_replayed')
  return state === 'repeatable'
}
