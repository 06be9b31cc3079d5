/** Hashes of passwords: Argon2id (RFC 9106), stored as PHC strings with their parameters. */
import { type Slots, createSlots } from './hash-slots.ts'

/**
 * Memory and passes of the second recommended option of RFC 9106 section 4, in one lane, so that a hash uses one thread.
 * `memoryCost` is in KiB.
 */
const parameters = { memoryCost: 65_536, timeCost: 3, parallelism: 1 } as const

/** A stored hash with more than this is not computed: a writer of the table must not choose the memory. */
const limits = { memoryCost: 262_144, timeCost: 16, parallelism: 4 } as const

/** Of two hashes at once in each process: 128 MiB, and two of the four threads of libuv. */
const slots = { maxRunning: 2, maxWaiting: 32 }

/**
 * The hash of random bytes that were thrown away, with the present parameters. It is verified where there is no hash, so
 * that the work does not tell whether an operator exists and has a password.
 */
const dummyHash = '$argon2id$v=19$m=65536,t=3,p=1$T0Dd4BX3sHvGy0jgp0LeXQ$a3R8LGyks55Xq/CdupRQBWxfmt03vp1+ywx+63pglEI'

export type Passwords = ReturnType<typeof createPasswords>

const argon = async () => (await import('argon2')).default

export function createPasswords(run: Slots = createSlots(slots)) {
  return {
    /** @throws Refusal `rate_limited` where too many wait */
    hash: (text: string): Promise<string> =>
      run(true, async () => {
        const argon2 = await argon()
        return argon2.hash(text, { ...parameters, type: argon2.argon2id })
      }),

    /**
     * @param stored absent: the same work, and no match
     * @throws Refusal `rate_limited` where too many wait
     */
    verify: (text: string, stored: string | undefined, isUrgent: boolean): Promise<boolean> =>
      run(isUrgent, async () => {
        const isUsable = stored !== undefined && isWithinLimits(stored)
        const isEqual = await (await argon()).verify(isUsable ? stored : dummyHash, text)
        return isUsable && isEqual
      }),
  }
}

type Parameters = { memoryCost: number; timeCost: number; parallelism: number }

const form = /^\$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,9})\$[A-Za-z0-9+/]{22,86}\$[A-Za-z0-9+/]{43,86}$/

function parametersOf(stored: string): Parameters | undefined {
  const [, memoryCost, timeCost, parallelism] = (form.exec(stored) ?? []).map(Number)
  if (memoryCost === undefined || timeCost === undefined || parallelism === undefined) return undefined
  return { memoryCost, timeCost, parallelism }
}

function isWithinLimits(stored: string): boolean {
  const actual = parametersOf(stored)
  return (
    actual !== undefined &&
    actual.memoryCost <= limits.memoryCost &&
    actual.timeCost <= limits.timeCost &&
    actual.parallelism <= limits.parallelism
  )
}

/** Whether the hash has other parameters than new ones get. */
export function isOutdated(stored: string): boolean {
  const actual = parametersOf(stored)
  return (
    actual?.memoryCost !== parameters.memoryCost ||
    actual.timeCost !== parameters.timeCost ||
    actual.parallelism !== parameters.parallelism
  )
}
