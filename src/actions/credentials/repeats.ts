/**
 * A proof that is taken once, presented again with the same key. It does not prove possession of that key, so an observer of
 * the first request could send it. A repeat gets the certificate, which is of no use without the key.
 */
import type { Attested } from '../../attest/attest.ts'
import { refuse } from '../../errors.ts'
import { claimState } from '../../store/claims.ts'
import type { Knex } from '../../store/database.ts'
import type { Claim } from '../../store/effects.ts'
import { repeatMs } from './claims.ts'

/** The parts of a request for credentials that are of use without the key that is certified. */
type Unbound = { jwts?: unknown; secrets?: unknown; databases?: unknown; accessToken?: unknown }

export const asksUnbound = ({ jwts, secrets, databases, accessToken }: Unbound): boolean =>
  [jwts, secrets, databases, accessToken].some((part) => part !== undefined)

/** The same request without those parts. */
export function boundOnly<T extends Unbound>(body: T): Omit<T, keyof Unbound> {
  const { jwts: _, secrets: __, databases: ___, accessToken: ____, ...bound } = body
  return bound
}

/**
 * Whether the claim is a repeat, as it looks before the append decides: for what would act outside meanwhile.
 * @throws Refusal where another key, or the same one too long ago, has claimed it
 */
export async function looksRepeated(knex: Knex, claim: Claim, { joinToken }: Attested, now: Date): Promise<boolean> {
  const state = await claimState(knex, claim, new Date(now.getTime() - repeatMs))
  if (state === 'spent') throw refuse(joinToken ? 'join_token' : 'proof_replayed')
  return state === 'repeatable'
}
