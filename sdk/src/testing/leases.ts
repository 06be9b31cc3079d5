/**
 * Databases by name alone, and roles in them that are invented: no server knows their user names and passwords. Leases
 * begin, go on and end by the rules of the real ones.
 */
import { randomBytes } from 'node:crypto'
import { checkDatabase } from '../credentials/role.ts'
import { PurserError } from '../errors.ts'
import { type WorkloadEntry, minLeftSeconds } from './entries.ts'
import { rfc3339 } from './issue.ts'
import { Refusal } from './refusal.ts'
import type { Session } from './sessions.ts'

type Lifetimes = { defaultLifetimeSeconds: number; maxLifetimeSeconds: number }
type Lease = {
  id: string
  database: string
  username: string
  session: Session
  createdAt: Date
  expiresAt: Date
  maxExpiresAt: Date
  /** Why it ended before its time. */
  reason: 'given_up' | 'revoked' | 'session_over' | undefined
}

/** A lease as a test sees it. */
export type TestLease = {
  lease: string
  session: string
  spiffeId: string
  username: string
  /** `revoked` where it was given up, ended by `revoke()` or with its session; `over` after its time. */
  state: 'active' | 'over' | 'revoked'
  expiresAt: Date
}

export type TestLeases = ReturnType<typeof createLeaseStore>

const isGranted = ({ databaseNames }: Pick<WorkloadEntry, 'databaseNames'>, name: string): boolean =>
  databaseNames === undefined || databaseNames.includes(name)

export function createLeaseStore(now: () => Date) {
  const databases = new Map<string, Lifetimes>()
  const leases = new Map<string, Lease>()

  const stateOf = ({ reason, expiresAt }: Lease): TestLease['state'] =>
    reason !== undefined ? 'revoked' : expiresAt > now() ? 'active' : 'over'
  const after = (seconds: number): number => now().getTime() + seconds * 1000
  const end = (lease: Lease, reason: Lease['reason']): void => {
    if (stateOf(lease) === 'active') lease.reason = reason
  }

  /** Whole seconds, as all that is issued. */
  function make(database: string, session: Session): Lease & { password: string } {
    const { defaultLifetimeSeconds, maxLifetimeSeconds } = databases.get(database) ?? {
      defaultLifetimeSeconds: 0,
      maxLifetimeSeconds: 0,
    }
    const expiresAt = Math.floor(Math.min(after(defaultLifetimeSeconds), session.expiresAt.getTime()) / 1000) * 1000
    if (expiresAt < after(minLeftSeconds)) throw new Refusal('expires_too_soon')
    return {
      id: `ls_${randomBytes(16).toString('hex')}`,
      database,
      username: `purser_test_${randomBytes(8).toString('hex')}`,
      password: randomBytes(24).toString('base64url'),
      session,
      createdAt: now(),
      expiresAt: new Date(expiresAt),
      maxExpiresAt: new Date(after(maxLifetimeSeconds)),
      reason: undefined,
    }
  }

  /** As good as none where it is somebody else's. @throws Refusal `not_found` */
  function find(id: string, session: Session): Lease {
    const lease = leases.get(id)
    if (!lease || lease.session !== session) throw new Refusal('not_found')
    return lease
  }

  const show = (lease: Lease) => ({
    id: lease.id,
    database: lease.database,
    username: lease.username,
    state: stateOf(lease) === 'active' ? 'active' : 'revoked',
    session: lease.session.id,
    workloadId: lease.session.entry.id,
    spiffeId: lease.session.entry.spiffeId,
    createdAt: rfc3339(lease.createdAt),
    expiresAt: rfc3339(lease.expiresAt),
    maxExpiresAt: rfc3339(lease.maxExpiresAt),
  })

  return {
    /** Makes a database, or changes it. @throws PurserError `bad_options` */
    set(name: string, { defaultLifetimeSeconds = 3600, maxLifetimeSeconds = 86_400 }: Partial<Lifetimes>): void {
      const min = minLeftSeconds + 1
      const isWhole = [defaultLifetimeSeconds, maxLifetimeSeconds].every((one) => Number.isSafeInteger(one))
      if (!isWhole || defaultLifetimeSeconds < min || maxLifetimeSeconds < defaultLifetimeSeconds)
        throw new PurserError('bad_options', `lifetimes are whole seconds, ${min} or more, the longest the longer one`)
      databases.set(checkDatabase(name), { defaultLifetimeSeconds, maxLifetimeSeconds })
    },

    /** A role in each of them, or a refusal that names the part. @throws Refusal */
    issue(names: readonly string[], entry: WorkloadEntry, session: Session) {
      const refused = (code: 'not_granted' | 'not_found', detail: string, isIt: (name: string) => boolean): void => {
        const errors = names.flatMap((name, n) => (isIt(name) ? [{ pointer: `/databases/${n}`, detail }] : []))
        if (errors.length > 0) throw new Refusal(code, { errors })
      }
      refused('not_granted', 'is not granted to the caller', (name) => !isGranted(entry, name))
      const unknown = 'is granted, and no database of that name is configured'
      refused('not_found', unknown, (name) => !databases.has(name))
      const made = names.map((name) => make(name, session))
      return {
        /** Called once it is certain that they leave. */
        gave(): void {
          for (const { password: _, ...lease } of made) leases.set(lease.id, lease)
        },
        reply: made.map(({ id, database, username, password, expiresAt }) => ({
          name: database,
          lease: id,
          username,
          password,
          expiresAt: rfc3339(expiresAt),
        })),
        record: made.map(({ id, database, username, expiresAt }) => ({
          id,
          database,
          username,
          expiresAt: rfc3339(expiresAt),
        })),
      }
    },

    /** @throws Refusal `not_found`, `lease_over`, `not_granted` */
    renew(id: string, entry: WorkloadEntry, session: Session) {
      const lease = find(id, session)
      const lifetimes = databases.get(lease.database)
      if (stateOf(lease) !== 'active') throw new Refusal('lease_over')
      if (!lifetimes || !isGranted(entry, lease.database)) throw new Refusal('not_granted')
      const ends = [lease.maxExpiresAt.getTime(), session.expiresAt.getTime()]
      const wanted = Math.min(after(lifetimes.defaultLifetimeSeconds), ...ends)
      lease.expiresAt = new Date(Math.max(wanted, lease.expiresAt.getTime()))
      return show(lease)
    },

    /** By whom it belongs to. @throws Refusal `not_found` */
    giveUp(id: string, session: Session) {
      const lease = find(id, session)
      end(lease, 'given_up')
      return show(lease)
    },

    /** As an operator would. @throws PurserError `not_found` */
    revoke(id: string): void {
      const lease = leases.get(id)
      if (!lease) throw new PurserError('not_found', 'there is no such lease')
      end(lease, 'revoked')
    },

    sessionEnded(session: string): void {
      for (const lease of leases.values()) if (lease.session.id === session) end(lease, 'session_over')
    },

    list: (database: string): TestLease[] =>
      [...leases.values()]
        .filter((lease) => lease.database === database)
        .map((lease) => ({
          lease: lease.id,
          session: lease.session.id,
          spiffeId: lease.session.entry.spiffeId,
          username: lease.username,
          state: stateOf(lease),
          expiresAt: lease.expiresAt,
        })),
  }
}
