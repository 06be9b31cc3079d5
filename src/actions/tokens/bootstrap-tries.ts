/**
 * Anyone can make up a token of the bootstrap form. What such a try costs is bounded, however many come: one look at the
 * live tokens is shared by all who wait for it, and only a token that is live has a turn among the changes. In vain
 * there are so many tries a minute for all replicas together, from all addresses; the token that is real spends none.
 */
import { refuse } from '../../errors.ts'
import { readLiveBootstrapTokens } from '../../store/bootstrap-tokens.ts'
import type { Database } from '../../store/database.ts'
import { countAttempt } from '../../store/attempts.ts'

export type BootstrapTries = {
  /** @throws Refusal `unauthenticated`, `rate_limited` */
  admit(hash: Buffer): Promise<void>
}

const perMinute = 60

/** @param parts.clock milliseconds of a clock that is never set back */
export function createBootstrapTries(parts: {
  db: Pick<Database, 'knex'>
  now: () => Date
  clock: () => number
}): BootstrapTries {
  const { clock, now } = parts
  const { knex } = parts.db
  const liveTokens = shared(() => readLiveBootstrapTokens(knex, now()))

  let emptyUntil = -Infinity
  /** Seconds until there is a try, 0 where this was one. One after the other: beyond the last, none asks the database. */
  const take = inTurn(async (): Promise<number> => {
    if (clock() < emptyUntil) return (emptyUntil - clock()) / 1000
    const { attempts, secondsLeft } = await countAttempt(knex, 'bootstrap')
    if (attempts <= perMinute) return 0
    emptyUntil = clock() + secondsLeft * 1000
    return secondsLeft
  })

  return {
    async admit(hash) {
      if ((await liveTokens()).has(hash.toString('hex'))) return
      const wait = await take()
      throw wait === 0 ? refuse('unauthenticated') : refuse('rate_limited', { retryAfterSeconds: Math.max(1, wait) })
    },
  }
}

function inTurn<T>(work: () => Promise<T>): () => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return () => {
    const mine = last.then(work)
    last = mine.catch(() => undefined)
    return mine
  }
}

/** Calls share one question, which is asked after each of them came. */
function shared<T>(ask: () => Promise<T>): () => Promise<T> {
  let next: Promise<T> | undefined
  const inOrder = inTurn(() => {
    next = undefined
    return ask()
  })
  return () => (next ??= inOrder())
}
