/**
 * Databases as mere names, and invented roles in them: no server knows their user names and passwords. Leases follow the
 * rules of the real server.
 */
import { randomBytes } from 'node:crypto'
import { checkDatabase } from '../credentials/role.ts'
import { PurserError } from '../errors.ts'
import { type WorkloadEntry, minLeftSeconds } from './entries.ts'
import { newId, rfc3339 } from './format.ts'
import { Refusal, refuseItems } from './refusal.ts'
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
  /** It ended before its time. */
  isRevoked: boolean
}

/** A lease as a test sees it. */
export type TestLease = {
  lease: string
  session: string
  spiffeId: string
  username: string
  /** `revoked`: given up, ended by `revoke()`, or ended with its session. `over`: expired. */
  state: 'active' | 'over' | 'revoked'
  expiresAt: Date
}

const isGranted = ({ databaseNames }: Pick<WorkloadEntry, 'databaseNames'>, name: string): boolean =>
  databaseNames === undefined || databaseNames.includes(name)

export function createLeaseStore(now: () => Date) {
  const databases = new Map<string, Lifetimes>()
  const leases = new Map<string, Lease>()

  const stateOf = ({ isRevoked, expiresAt }: Lease): TestLease['state'] =>
    isRevoked ? 'revoked' : expiresAt > now() ? 'active' : 'over'
  const after = (seconds: number): number => now().getTime() + seconds * 1000
  const end = (lease: Lease): void => {
    if (stateOf(lease) === 'active') lease.isRevoked = true
  }

  /** Ends in whole seconds, like all credentials. */
  function create(database: string, lifetimes: Lifetimes, session: Session): Lease {
    const end = Math.min(after(lifetimes.defaultLifetimeSeconds), session.expiresAt.getTime())
    const expiresAt = Math.floor(end / 1000) * 1000
    if (expiresAt < after(minLeftSeconds)) throw new Refusal('expires_too_soon')
    return {
      id: newId('ls'),
      database,
      username: `purser_test_${randomBytes(8).toString('hex')}`,
      session,
      createdAt: now(),
      expiresAt: new Date(expiresAt),
      maxExpiresAt: new Date(after(lifetimes.maxLifetimeSeconds)),
      isRevoked: false,
    }
  }

  /** @throws Refusal `not_found`, also for the lease of another session */
  function find(id: string, session: Session): Lease {
    const lease = leases.get(id)
    if (!lease || lease.session !== session) throw new Refusal('not_found')
    return lease
  }

  const viewOf = (lease: Lease) => ({
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
    /** Creates a database, or changes its lifetimes. @throws PurserError `bad_options` */
    set(name: string, { defaultLifetimeSeconds = 3600, maxLifetimeSeconds = 86_400 }: Partial<Lifetimes>): void {
      const min = minLeftSeconds + 1
      const areWhole = [defaultLifetimeSeconds, maxLifetimeSeconds].every((seconds) => Number.isSafeInteger(seconds))
      if (!areWhole || defaultLifetimeSeconds < min || maxLifetimeSeconds < defaultLifetimeSeconds)
        throw new PurserError(
          'bad_options',
          `lifetimes are whole seconds, at least ${min}, and the maximum is not below the default`,
        )
      databases.set(checkDatabase(name), { defaultLifetimeSeconds, maxLifetimeSeconds })
    },

    /** A role in each database, or a refusal that names the faulty ones. @throws Refusal */
    issue(names: readonly string[], entry: WorkloadEntry, session: Session) {
      const missing = 'is granted, and no database of that name is configured'
      const isRefused = (name: string): boolean => !isGranted(entry, name)
      refuseItems('not_granted', 'is not granted to the caller', '/databases', names, isRefused)
      refuseItems('not_found', missing, '/databases', names, (name) => !databases.has(name))
      const issued = names.flatMap((name) => {
        const lifetimes = databases.get(name)
        return lifetimes ? [create(name, lifetimes, session)] : []
      })
      return {
        /** Called once no refusal can follow. */
        commit(): void {
          for (const lease of issued) leases.set(lease.id, lease)
        },
        reply: issued.map(({ id, database, username, expiresAt }) => ({
          name: database,
          lease: id,
          username,
          password: randomBytes(24).toString('base64url'),
          expiresAt: rfc3339(expiresAt),
        })),
        issued: issued.map(({ id, database, username, expiresAt }) => ({
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
      const next = Math.min(after(lifetimes.defaultLifetimeSeconds), ...ends)
      lease.expiresAt = new Date(Math.max(next, lease.expiresAt.getTime()))
      return viewOf(lease)
    },

    /** Ends a lease for its session. @throws Refusal `not_found` */
    giveUp(id: string, session: Session) {
      const lease = find(id, session)
      end(lease)
      return viewOf(lease)
    },

    /** Ends a lease for an operator. @throws PurserError `not_found` */
    revoke(id: string): void {
      const lease = leases.get(id)
      if (!lease) throw new PurserError('not_found', 'there is no such lease')
      end(lease)
    },

    sessionEnded(session: string): void {
      for (const lease of leases.values()) if (lease.session.id === session) end(lease)
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
