/** Ends the leases that nobody uses any more, so that their roles go before their time. */
import { isAway, wordsOf } from '../errors.ts'
import { restFor, waitAfter } from '../time/retry.ts'
import type { Leases } from './leases.ts'
import { type Kept, isLive } from './holding.ts'

type Parts = {
  leases: Pick<Leases, 'revoke'>
  closing: AbortSignal
  warn: (warning: string) => void
  random: () => number
}

/** Again until it is taken, refused, or the role has ended by itself. */
export const createGiveUp =
  ({ leases, closing, warn, random }: Parts) =>
  async (kept: Kept): Promise<void> => {
    const { name, lease } = kept.role
    for (let failures = 1; isLive(kept) && !closing.aborted; failures++) {
      try {
        await leases.revoke(kept.role, closing)
        return
      } catch (error) {
        if (closing.aborted) return
        if (!isAway(error))
          return warn(`the lease ${lease} in ${name} is used no more, but could not be ended. ${wordsOf(error)}`)
        await restFor(waitAfter(error, failures, random), closing)
      }
    }
  }
