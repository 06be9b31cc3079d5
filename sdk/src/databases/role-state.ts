/** The role of this session in one database: the current one, earlier ones that may still be in use, and when to act. */
import { type RoleReply, roleOf } from '../credentials/role.ts'
import { isAway } from '../errors.ts'
import { type Clocks, type Lifetime, lifetimeFrom } from '../time/lifetime.ts'
import { delayAfter } from '../time/retry.ts'
import type { DatabaseRole } from '../types/databases.ts'

/** A role with its lease. A renewal yields another value with the same `n`. */
export type LeasedRole = Readonly<{
  /** Numbers the roles of one database, from 1. */
  n: number
  role: DatabaseRole
  life: Lifetime
  /** Milliseconds of its age at which to renew it. */
  renewAtAge: number
  /** The longest lifetime that this role has received, milliseconds. */
  maxMs: number
  /** It has reached its maximum lifetime: another role follows instead of a renewal. */
  isLast: boolean
  /** The session's end limits its lifetime. */
  isHeldBack: boolean
}>

export type Extension = { expiresAt: Date; maxExpiresAt: Date; serverTime: number }

export type RoleState = ReturnType<typeof createRoleState>

export type RoleStateParts = Clocks & { random: () => number }

/** Part of the time until renewal by which it is randomly brought forward, so that clients of one start drift apart. */
const jitter = 0.1
/** Part of the longest lifetime below which a renewal was cut short, by the database's maximum or the session's end. */
const whole = 0.75
/** A server whose leases are always due must not be called in a tight loop. */
const minPauseMs = 500

export const isLive = (role: LeasedRole | undefined): role is LeasedRole => role !== undefined && role.life.leftMs() > 0

type Extended = { extended: LeasedRole; outcome: 'longer' | 'later' | 'never' }

/** Changes only by its transitions. */
export function createRoleState(parts: RoleStateParts, name: string) {
  const { elapsed, random } = parts
  let current: LeasedRole | undefined
  /** Oldest first. */
  let previous: LeasedRole[] = []
  let lastReturned = 0
  let isRenewing = false
  let failures = 0
  let lastError: unknown
  /** No attempt before, by `elapsed`. */
  let nextAttemptAt = -Infinity

  /** Renews at half of the lifetime, since the server gives no advice. */
  function timing(expiresAt: Date, serverTime: number): Pick<LeasedRole, 'life' | 'renewAtAge'> {
    const life = lifetimeFrom(parts, expiresAt.getTime(), serverTime)
    return { life, renewAtAge: (life.lifeMs / 2) * (1 - jitter * random()) }
  }

  return {
    name,
    current: () => current,
    /** The `n` of the role that a caller received last; 0 before the first. */
    lastReturned: () => lastReturned,
    /** Milliseconds until the role needs attention, 0 or less for now; Infinity if it is not needed or being renewed. */
    dueInMs(isNeeded: boolean): number {
      const due = isLive(current) ? current.renewAtAge - current.life.ageMs() : 0
      return isNeeded && !isRenewing ? Math.max(due, nextAttemptAt - elapsed()) : Infinity
    },

    /** Transition: a new role replaces the current one, which may stay in use. */
    replace(reply: RoleReply, serverTime: number): LeasedRole {
      previous = [...previous, ...(current ? [current] : [])].filter(isLive)
      const role = roleOf(reply)
      const times = timing(role.expiresAt, serverTime)
      const n = (current?.n ?? 0) + 1
      current = { n, role, ...times, maxMs: times.life.lifeMs, isLast: false, isHeldBack: false }
      return current
    },
    /** Transition: the lease of a role has another end. @returns whether it gained time, may do so later, or never will */
    extend(leased: LeasedRole, { expiresAt, maxExpiresAt, serverTime }: Extension): Extended {
      const { name: database, lease, username, password } = leased.role
      const role = roleOf({ name: database, lease, username, password, expiresAt })
      const times = timing(expiresAt, serverTime)
      const maxMs = Math.max(leased.maxMs, times.life.lifeMs)
      const isLast = expiresAt >= maxExpiresAt
      const isShort = times.life.lifeMs < maxMs * whole
      const extended = { n: leased.n, role, ...times, maxMs, isLast, isHeldBack: isShort && !isLast }
      if (current?.n === extended.n) current = extended
      previous = previous.map((earlier) => (earlier.n === extended.n ? extended : earlier))
      if (isShort && isLast) return { extended, outcome: 'never' }
      return { extended, outcome: expiresAt > leased.role.expiresAt ? 'longer' : 'later' }
    },
    /** Transition: renew as soon as possible. */
    hurry(): void {
      if (current) current = { ...current, renewAtAge: 0 }
    },
    /** Transition: an attempt to renew begins, and ends. */
    begin: () => void (isRenewing = true),
    end: () => void (isRenewing = false),
    succeed(): void {
      failures = 0
      lastError = undefined
      nextAttemptAt = elapsed() + minPauseMs
    },
    /** Transition: waits as long as Retry-After says, but never so long that the role expires although Purser is back. */
    fail(error: unknown): void {
      failures++
      lastError = error
      const delay = delayAfter(error, failures, random)
      const remainingMs = current?.life.leftMs() ?? 0
      nextAttemptAt = elapsed() + (remainingMs > 0 ? Math.min(delay, Math.max(remainingMs / 2, minPauseMs)) : delay)
    },
    /** Transition: Purser answered, so a wait for its return is over. */
    reached(): void {
      if (isAway(lastError)) nextAttemptAt = -Infinity
    },
    /** Transition: a caller received role `n`. */
    returned: (n: number) => void (lastReturned = n),
    /** Transition: no program uses roles before `n`. @returns these */
    release(n: number): LeasedRole[] {
      const unused = previous.filter((role) => role.n < n)
      previous = previous.filter((role) => role.n >= n)
      return unused
    },
  }
}
