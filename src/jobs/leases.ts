/**
 * Ends leases: at their time, with their session, with their grant, and those that were intended and never issued. Then drops
 * their roles, in as many attempts as that takes.
 */
import type { Opening } from '../audit/seal.ts'
import { sessionGrant } from '../authorize/session-grant.ts'
import { barrierOf } from '../authorize/standing.ts'
import { Refusal } from '../errors.ts'
import { databaseName, leaseEntry } from '../secrets/leases/entry.ts'
import { type RevokeRoles, irrevocableAfter } from '../secrets/leases/revoke.ts'
import {
  beginRevoking,
  claimRevoking,
  expiredLeases,
  leasesOfEndedSessions,
  staleIntendedLeases,
} from '../store/lease-ends.ts'
import { type ActiveLease, type LeaseCounts, type LeaseRow, activeLeases, countLeases } from '../store/leases.ts'
import { hasRenewals, takeRenewals } from '../store/renewals.ts'
import type { Snapshot, Snapshots } from '../store/snapshot.ts'
import { collectLeaseChanges } from './lease-changes.ts'
import { type JobParts, changeIf, changeOnce, openBySystem } from './once.ts'
import type { Job } from './runner.ts'

export type LeaseJobParts = JobParts & {
  snapshots: Pick<Snapshots, 'current' | 'onChange'>
  revokeRoles: RevokeRoles
  metrics: { leases: (counts: LeaseCounts) => void }
}

/** "plse" in ASCII. */
const lock = 0x706c7365
/** Longer than every request that creates or renews roles. */
const strandedAfterMs = 60_000
/** Leases read at a time, and leases ended in one change: appends wait for a change. */
const page = 500
const maxInChange = 100
const maxPages = 10
const maxBatches = 50
const batch = 50
/** How long a replica claims a batch. */
const claimMs = 120_000
/** Every lease is checked at this interval; those that a policy change affects, at once. */
const checkAllEveryMs = 60_000
/** Clock difference of replicas and duration of a change: a session may appear as ended this long after its end. */
const lateMs = 120_000
/** Counts change only with a run that ends leases. */
const countEveryMs = 15_000

type EndingLease = { lease: LeaseRow; reason: string }

export function leaseJob(parts: LeaseJobParts): Job {
  const { db, snapshots, revokeRoles, now, metrics } = parts
  const changes = collectLeaseChanges(snapshots)
  let checkedAllAt = -Infinity
  let [ranAt, countedAt, isChanged] = [now().getTime(), -Infinity, false]

  /** @returns whether every lease is ended, or another replica is ending it */
  async function end(leases: readonly EndingLease[]): Promise<boolean> {
    let isEnded = true
    for (let at = 0; at < leases.length; at += maxInChange)
      isEnded = (await endSome(leases.slice(at, at + maxInChange))) && isEnded
    return isEnded
  }

  async function endSome(leases: readonly EndingLease[]): Promise<boolean> {
    isChanged = true
    const snapshot = snapshots.current()
    const entries = leases.map(({ lease, reason }) =>
      leaseEntry(lease, 'intended', { database: databaseName(snapshot, lease.databaseId), reason }),
    )
    try {
      await changeOnce(parts, lock, 'lease.revoke', async (tx, time) => {
        const [entry = {}, ...more] = entries
        return {
          result: undefined,
          entry,
          more,
          async placed() {
            let startedCount = 0
            for (const reason of new Set(leases.map((ending) => ending.reason))) {
              const ids = leases.filter((ending) => ending.reason === reason).map(({ lease }) => lease.id)
              const from = reason === 'not_given_out' ? (['intended'] as const) : (['active'] as const)
              startedCount += await beginRevoking(tx, ids, from, { reason, now: time })
            }
            // A lease was issued or ended since it was read: its entry would be false.
            if (startedCount !== leases.length) throw stale
          },
        }
      })
    } catch (error) {
      if (error !== stale) throw error
      return false
    }
    return true
  }

  /** @returns whether none is left */
  async function endPages(find: (time: Date) => Promise<LeaseRow[]>, reason: string): Promise<boolean> {
    for (let pages = 0; pages < maxPages; pages++) {
      const leases = (await find(now())).map((lease) => ({ lease, reason }))
      const isEnded = await end(leases)
      if (leases.length < page) return isEnded
    }
    return false
  }

  async function endAll(): Promise<void> {
    await endPages((time) => expiredLeases(db.knex, time, page), 'over')
    const began = now().getTime()
    const since = new Date(Math.min(ranAt, began) - lateMs)
    if (await endPages(() => leasesOfEndedSessions(db.knex, since, page), 'session')) ranAt = began
    const before = new Date(now().getTime() - strandedAfterMs)
    await end((await staleIntendedLeases(db.knex, before, page)).map((lease) => ({ lease, reason: 'not_given_out' })))
    await checkHeld()
  }

  async function checkHeld(): Promise<void> {
    const snapshot = snapshots.current()
    const time = now().getTime()
    const isDue = Math.abs(time - checkedAllAt) >= checkAllEveryMs
    const affected = changes.take()
    const scope = isDue ? 'all' : affected
    let isSettled = true
    for (let after = ''; scope.length > 0;) {
      const leases = await activeLeases(db.knex, after, page, scope)
      if (!(await end(leases.flatMap((lease): EndingLease[] => asOver(lease, snapshot, now()))))) isSettled = false
      const last = leases.at(-1)
      if (!last || leases.length < page) break
      after = last.id
    }
    // Where a page was stale, the next run checks again instead of waiting for the next change.
    if (!isSettled) changes.add(scope)
    else if (scope === 'all') checkedAllAt = time
  }

  async function revokeDue(): Promise<void> {
    for (let batches = 0; batches < maxBatches; batches++) {
      const time = now()
      const leases = await claimRevoking(db.knex, time, new Date(time.getTime() + claimMs), batch)
      if (leases.length === 0) return
      isChanged = true
      await revokeRoles(leases, opening(parts))
    }
  }

  /** Counting reads every open lease: not each second. */
  async function count(): Promise<void> {
    const time = now().getTime()
    if (!isChanged && Math.abs(time - countedAt) < countEveryMs) return
    metrics.leases(await countLeases(db.knex, irrevocableAfter))
    countedAt = time
    isChanged = false
  }

  return {
    name: 'leases',
    everySeconds: 1,
    async run() {
      await endAll()
      await endRenewals(parts)
      await revokeDue()
      await count()
    },
  }
}

/** Thrown under the head lock, so that it rolls back. */
const stale = new Error('the leases have changed')

const opening = (parts: LeaseJobParts): Opening => openBySystem('lease.revoke', parts)

/** Why a lease ends before its time: its session no longer stands, or is no longer granted the database. */
function asOver(lease: ActiveLease, snapshot: Snapshot, now: Date): EndingLease[] {
  const reason = reasonToEnd(lease, snapshot, now)
  return reason === undefined ? [] : [{ lease, reason }]
}

function reasonToEnd({ session, ...lease }: ActiveLease, snapshot: Snapshot, now: Date): string | undefined {
  if (!session || session.endedAt || session.expiresAt <= now) return 'session'
  const holder = { id: lease.sessionId, workloadId: lease.workloadId, ...session }
  const barrier = barrierOf(snapshot, holder, now)
  if (barrier) return barrier === 'block' ? 'blocked' : 'workload'
  const database = snapshot.databases.get(lease.databaseId)
  const granted = grantedDatabases(snapshot, holder)
  if (!database || !granted) return 'workload'
  return granted.includes(database.name) ? undefined : 'not_granted'
}

/** An entry whose templates no longer fit the session's facts grants nothing. */
function grantedDatabases(snapshot: Snapshot, session: Parameters<typeof sessionGrant>[1]): string[] | undefined {
  try {
    return sessionGrant(snapshot, session)?.grant.databases
  } catch (error) {
    if (error instanceof Refusal) return []
    throw error
  }
}

/**
 * Records renewals whose replica died as failed. The role may be valid for longer at its server; its lease keeps its end,
 * and the role ends with the lease.
 */
async function endRenewals(parts: LeaseJobParts): Promise<void> {
  const before = new Date(parts.now().getTime() - strandedAfterMs)
  if (!(await hasRenewals(parts.db.knex, before))) return
  await changeIf(parts, 'lease.renew', async (tx, snapshot) => {
    const [entry, ...more] = (await takeRenewals(tx, before, maxInChange)).map(({ leaseId, username, databaseId }) =>
      leaseEntry({ id: leaseId, username }, 'failed', {
        database: databaseName(snapshot, databaseId),
        error: 'interrupted: its replica stopped, and the lease keeps its end',
      }),
    )
    return entry && { result: undefined, entry, more }
  })
}
