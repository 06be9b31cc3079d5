/**
 * Anyone can make up a token of the bootstrap form, so the cost of such tries is bounded. Concurrent tries share one query
 * for the live tokens, and only a live token takes a turn among the changes. All replicas together allow a number of failed
 * tries a minute, from all addresses; the real token does not count.
 */
import { refuse } from '../../errors.ts'
import { countAttempt } from '../../store/attempts.ts'
import type { Database } from '../../store/database.ts'
import { readLiveBootstrapTokens } from '../../store/tokens.ts'

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
  /** Seconds until the next try, 0 where this is one. Tries run in turn: after the last of a minute, none reads the database. */
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

/** Concurrent calls share one run of `read`, which begins after each of them. */
function shared<T>(read: () => Promise<T>): () => Promise<T> {
  let next: Promise<T> | undefined
  const inOrder = inTurn(() => {
    next = undefined
    return read()
  })
  return () => (next ??= inOrder())
}
