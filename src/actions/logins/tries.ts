/**
 * Bounds the guesses of passwords, at all replicas together. An attempt counts for the caller's address and for the
 * operator's name, whether or not that operator exists. An address from which the operator has logged in before counts
 * alone, so attempts from elsewhere delay no login there. An attempt that succeeds does not count.
 */
import { createHash } from 'node:crypto'
import { refuse } from '../../errors.ts'
import { countAttempt, uncountAttempts } from '../../store/attempts.ts'
import type { Database } from '../../store/database.ts'

type Attempt = {
  name: string
  /** Of the caller's address. */
  prefix: string
  /** Whether the operator has logged in from there before. */
  isKnownAddress: boolean
}

/** Attempts a minute. */
const perAddress = 10
const perName = 30
/** Codes of one operator in an hour, which only the holder of the password can try. */
const codesPerHour = 20
const hour = 3600

export type LoginTries = ReturnType<typeof createLoginTries>

export function createLoginTries({ knex }: Pick<Database, 'knex'>) {
  /** @throws Refusal `rate_limited` */
  async function take(door: string, max: number, windowSeconds = 60): Promise<void> {
    const { attempts, secondsLeft } = await countAttempt(knex, door, windowSeconds)
    if (attempts > max) throw refuse('rate_limited', { retryAfterSeconds: Math.max(1, secondsLeft) })
  }

  return {
    /**
     * Counts an attempt before its password is hashed.
     * @returns what takes the attempt back once it has succeeded
     * @throws Refusal `rate_limited`
     */
    async admit({ name, prefix, isKnownAddress }: Attempt): Promise<{ takeBack: () => Promise<unknown> }> {
      const doors = isKnownAddress
        ? [[doorOf('known', name, prefix), perAddress] as const]
        : [[doorOf('address', prefix), perAddress] as const, [doorOf('name', name), perName] as const]
      for (const [door, max] of doors) await take(door, max)
      return {
        takeBack: () =>
          uncountAttempts(
            knex,
            doors.map(([door]) => door),
          ),
      }
    },

    /**
     * The same for a passkey, which names no operator: only the address counts, apart from passwords.
     * @throws Refusal `rate_limited`
     */
    async admitPasskey(prefix: string): Promise<{ takeBack: () => Promise<unknown> }> {
      const door = doorOf('passkey', prefix)
      await take(door, perAddress)
      return { takeBack: () => uncountAttempts(knex, [door]) }
    },

    /** The same for a code of the second factor. @throws Refusal `rate_limited` */
    async admitCode(operatorId: string): Promise<{ takeBack: () => Promise<unknown> }> {
      const door = doorOf('code', operatorId)
      await take(door, codesPerHour, hour)
      return { takeBack: () => uncountAttempts(knex, [door]) }
    },
  }
}

/** Hashed: a name that does not exist may be a password that was typed into the wrong field. */
const doorOf = (...parts: string[]): string =>
  `login ${createHash('sha256').update(JSON.stringify(parts)).digest('base64url')}`
