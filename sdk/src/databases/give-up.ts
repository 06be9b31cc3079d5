import { isAway, wordsOf } from '../errors.ts'
import { delayAfter, sleep } from '../time/retry.ts'
import type { Leases } from './leases.ts'
import { type LeasedRole, isLive } from './role-state.ts'

type Parts = {
  leases: Pick<Leases, 'revoke'>
  closing: AbortSignal
  warn: (warning: string) => void
  random: () => number
}

/** Ends the lease of an unused role early. Retries until Purser accepts or refuses, or the role expires. */
export const createGiveUp =
  ({ leases, closing, warn, random }: Parts) =>
  async (leased: LeasedRole): Promise<void> => {
    const { name, lease } = leased.role
    for (let failures = 1; isLive(leased) && !closing.aborted; failures++) {
      try {
        await leases.revoke(leased.role, closing)
        return
      } catch (error) {
        if (closing.aborted) return
        if (!isAway(error)) return warn(`the unused lease ${lease} in ${name} could not be ended. ${wordsOf(error)}`)
        await sleep(delayAfter(error, failures, random), closing)
      }
    }
  }
