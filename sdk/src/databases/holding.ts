/** What is held for one database: the role, the ones before it that may still be in use, and when to do something. */
import { isAway } from '../errors.ts'
import { type Clocks, type Lifetime, lifetimeFrom } from '../time/lifetime.ts'
import { waitAfter } from '../time/retry.ts'
import { type RoleReply, roleOf } from '../credentials/role.ts'
import type { DatabaseRole } from '../types/databases.ts'

export type Kept = {
  /** Counts the roles of one database: a later one is greater. */
  n: number
  role: DatabaseRole
  life: Lifetime
  /** Milliseconds of its age at which it is renewed. */
  renewAtAge: number
  /** Of all lives that it was given, milliseconds. */
  maxMs: number
  /** The longest life is reached: the next time there will be another one in its place. */
  isLast: boolean
  /** The session's end keeps it from being longer. */
  isHeldBack: boolean
}

export type Line = {
  readonly name: string
  kept: Kept | undefined
  /** Oldest first. */
  before: Kept[]
  /** What `get()` answered last. */
  gave: number
  failures: number
  lastError: unknown
  /** Nothing is asked before, by `elapsed`. */
  until: number
  busy: boolean
}

export type LineParts = Clocks & { random: () => number }

/** Part of the time until renewal by which it is brought forward at random, so that clients of one start drift apart. */
const jitter = 0.1
/** Part of the longest life below which a renewal was cut short: by the database's maximum, or the session's end. */
const whole = 0.75
/** A server whose leases are due again as they come must not be asked without end. */
const betweenMs = 500

export const newLine = (name: string): Line => ({
  name,
  kept: undefined,
  before: [],
  gave: 0,
  failures: 0,
  lastError: undefined,
  until: -Infinity,
  busy: false,
})

export const isLive = (kept: Kept | undefined): kept is Kept => kept !== undefined && kept.life.leftMs() > 0

/** Half of what it has, since there is no word of the server's on it. */
function timed(parts: LineParts, expiresAt: Date, serverTime: number): Pick<Kept, 'life' | 'renewAtAge'> {
  const life = lifetimeFrom(parts, expiresAt.getTime(), serverTime)
  return { life, renewAtAge: (life.lifeMs / 2) * (1 - jitter * parts.random()) }
}

/** Another role takes the place of the one that is held. */
export function place(parts: LineParts, line: Line, reply: RoleReply, serverTime: number): Kept {
  const { kept } = line
  line.before = [...line.before, ...(kept ? [kept] : [])].filter(isLive)
  const n = (kept?.n ?? 0) + 1
  const role = roleOf(reply)
  const time = timed(parts, role.expiresAt, serverTime)
  line.kept = { n, role, ...time, maxMs: time.life.lifeMs, isLast: false, isHeldBack: false }
  return line.kept
}

/** The same role with another end. @returns whether it gained by it, or may do so later */
export function prolong(
  parts: LineParts,
  kept: Kept,
  { expiresAt, maxExpiresAt, serverTime }: { expiresAt: Date; maxExpiresAt: Date; serverTime: number },
): 'longer' | 'later' | 'never' {
  const { name, lease, username, password } = kept.role
  const gained = expiresAt.getTime() - kept.role.expiresAt.getTime()
  const role = roleOf({ name, lease, username, password, expiresAt })
  const time = timed(parts, expiresAt, serverTime)
  const maxMs = Math.max(kept.maxMs, time.life.lifeMs)
  const isLast = expiresAt >= maxExpiresAt
  const isShort = time.life.lifeMs < maxMs * whole
  Object.assign(kept, { role, ...time, maxMs, isLast, isHeldBack: isShort && !isLast })
  if (isShort && isLast) return 'never'
  return gained > 0 ? 'longer' : 'later'
}

/** Milliseconds until something is to be done; 0 or less where it is now. */
export function dueInMs({ kept, until }: Line, isWanted: boolean, elapsed: () => number): number {
  const due = isLive(kept) ? kept.renewAtAge - kept.life.ageMs() : 0
  return isWanted ? Math.max(due, until - elapsed()) : Infinity
}

export function succeeded(line: Line, elapsed: () => number): void {
  Object.assign(line, { failures: 0, lastError: undefined, until: elapsed() + betweenMs })
}

/** As long as Retry-After says, but never so long that what is held ends though Purser is back. */
export function failed(line: Line, error: unknown, { elapsed, random }: LineParts): void {
  line.failures++
  line.lastError = error
  const wait = waitAfter(error, line.failures, random)
  const left = line.kept?.life.leftMs() ?? 0
  line.until = elapsed() + (left > 0 ? Math.min(wait, Math.max(left / 2, betweenMs)) : wait)
}

/** Purser answered: what waits for that waits no longer. */
export function reached(line: Line): void {
  if (isAway(line.lastError)) line.until = -Infinity
}
