/** Bounds the hashes that are computed at once, since each takes memory and a thread, and those that wait. */
import { refuse } from '../errors.ts'

export type Slots = <T>(isUrgent: boolean, work: () => Promise<T>) => Promise<T>

/**
 * Urgent work goes first and has a queue of its own, so that a flood of other work does not keep it out.
 * @param rules.maxWaiting of each of the two queues
 */
export function createSlots({ maxRunning, maxWaiting }: { maxRunning: number; maxWaiting: number }): Slots {
  let running = 0
  const urgent: (() => void)[] = []
  const others: (() => void)[] = []

  /** @throws Refusal `rate_limited` */
  async function enter(isUrgent: boolean): Promise<void> {
    if (running < maxRunning) return void running++
    const queue = isUrgent ? urgent : others
    if (queue.length >= maxWaiting) throw refuse('rate_limited', { retryAfterSeconds: 2 })
    await new Promise<void>((resolve) => queue.push(resolve))
  }

  /** The slot passes to the next in a queue. */
  function leave(): void {
    const next = urgent.shift() ?? others.shift()
    if (next) next()
    else running--
  }

  return async (isUrgent, work) => {
    await enter(isUrgent)
    try {
      return await work()
    } finally {
      leave()
    }
  }
}
