/**
 * Ends leases: at their time, with their session, with what their entry grants, and those that somebody intended and never
 * gave out. Then takes their roles away, as often as it needs.
 */
import type { Opening } from '../audit/seal.ts'
import { grantOf } from '../authorize/decide.ts'
import { entryOf } from '../authorize/entries.ts'
import { blockOf } from '../authorize/session.ts'
import { stands } from '../authorize/standing.ts'
import { Refusal } from '../errors.ts'
import { databaseName, leaseEntry } from '../secrets/leases/entry.ts'
import { type RevokeRoles, irrevocableAfter } from '../secrets/leases/revoke.ts'
import type { Database } from '../store/database.ts'
import {
  beginRevoking,
  claimRevoking,
  expiredLeases,
  leasesOfEndedSessions,
  staleIntendedLeases,
} from '../store/lease-ends.ts'
import { type ActiveLease, type LeaseCounts, type LeaseRow, countLeases, activeLeases } from '../store/leases.ts'
import type { Snapshot, Snapshots } from '../store/snapshot.ts'
import { type Granting, concerned } from './lease-changes.ts'
import { endRenewals } from './lease-renewals.ts'
import { type OnceParts, changeOnce, openBySystem } from './once.ts'
import type { Job } from './runner.ts'

export type LeaseJobParts = OnceParts & {
  db: Pick<Database, 'knex'>
  snapshots: Pick<Snapshots, 'current'>
  revokeRoles: RevokeRoles
  metrics: { leases: (counts: LeaseCounts) => void }
}

/** "plse" in ASCII. */
const lock = 0x706c7365
/** Longer than any request that makes roles takes. */
const strandedAfterMs = 60_000
/** So many are read at a time, and so many begin to end in one change, which everybody's appends wait for. */
const page = 500
const together = 100
const maxPages = 10
const maxBatches = 50
const batch = 50
/** For how long a replica has a batch to itself. */
const busyMs = 120_000
/** What a change in memory concerns is looked at with it, and every lease once in a while. */
const lookEveryMs = 60_000
/** How far clocks of replicas may be apart, and how long a change may take: sessions that ended so long before the last run are new. */
const lateMs = 120_000
/** Nothing moves without a run that moves it. */
const countEveryMs = 15_000

type Over = { lease: LeaseRow; reason: string }

export function leaseJob(parts: LeaseJobParts): Job {
  const { db, snapshots, revokeRoles, now, metrics } = parts
  let looked: { known?: Granting; at: number } = { at: -Infinity }
  let [ranAt, countedAt, moved] = [now().getTime(), -Infinity, false]

  /** Answers whether each of them is ended, or another replica is at it. */
  async function end(over: readonly Over[]): Promise<boolean> {
    let all = true
    for (let at = 0; at < over.length; at += together) all = (await endSome(over.slice(at, at + together))) && all
    return all
  }

  async function endSome(over: readonly Over[]): Promise<boolean> {
    moved = true
    const snapshot = snapshots.current()
    const entries = over.map(({ lease, reason }) =>
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
            let begun = 0
            for (const reason of new Set(over.map((over) => over.reason))) {
              const ids = over.filter((over) => over.reason === reason).map((over) => over.lease.id)
              const from = reason === 'not_given_out' ? (['intended'] as const) : (['active'] as const)
              begun += await beginRevoking(tx, ids, from, { reason, now: time })
            }
            // Given out, or ended by somebody else, since they were read: the entries would not be true.
            if (begun !== over.length) throw movedOn
          },
        }
      })
    } catch (error) {
      if (error !== movedOn) throw error
      return false
    }
    return true
  }

  /** Answers whether none is left. */
  async function endPages(find: (time: Date) => Promise<LeaseRow[]>, reason: string): Promise<boolean> {
    for (let pages = 0; pages < maxPages; pages++) {
      const over = (await find(now())).map((lease) => ({ lease, reason }))
      const ended = await end(over)
      if (over.length < page) return ended
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
    await lookAtHeld()
  }

  async function lookAtHeld(): Promise<void> {
    const snapshot = snapshots.current()
    const time = now().getTime()
    const whole = Math.abs(time - looked.at) >= lookEveryMs
    const whose = whole ? 'all' : concerned(looked.known, snapshot)
    let isSettled = true
    for (let after = ''; whose.length > 0;) {
      const held = await activeLeases(db.knex, after, page, whose)
      if (!(await end(held.flatMap((lease): Over[] => asOver(lease, snapshot, now()))))) isSettled = false
      const last = held.at(-1)
      if (!last || held.length < page) break
      after = last.id
    }
    // Where one of a page had moved on, the others wait for the next run, and not for the next change.
    if (isSettled) looked = { known: snapshot, at: whose === 'all' ? time : looked.at }
  }

  async function revokeDue(): Promise<void> {
    for (let batches = 0; batches < maxBatches; batches++) {
      const time = now()
      const leases = await claimRevoking(db.knex, time, new Date(time.getTime() + busyMs), batch)
      if (leases.length === 0) return
      moved = true
      await revokeRoles(leases, opening(parts))
    }
  }

  /** Reads every open lease: not each second. */
  async function count(): Promise<void> {
    const time = now().getTime()
    if (!moved && Math.abs(time - countedAt) < countEveryMs) return
    metrics.leases(await countLeases(db.knex, irrevocableAfter))
    countedAt = time
    moved = false
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
const movedOn = new Error('the leases moved on')

const opening = (parts: LeaseJobParts): Opening => openBySystem('lease.revoke', parts)

/** Whether its session still stands as far as memory knows, and is still granted the database. */
function asOver(lease: ActiveLease, snapshot: Snapshot, now: Date): Over[] {
  const { session, workloadId } = lease
  if (!session || session.endedAt || session.expiresAt <= now) return [{ lease, reason: 'session' }]
  const of = { id: lease.sessionId, workloadId, ...session }
  if (!stands(snapshot, of)) return [{ lease, reason: 'workload' }]
  if (blockOf(snapshot, of, now)) return [{ lease, reason: 'blocked' }]
  const row = snapshot.workloads.get(workloadId)
  const attestor = snapshot.attestors.get(session.attestorId)
  const database = snapshot.databases.get(lease.databaseId)
  if (!row || !attestor || !database) return [{ lease, reason: 'workload' }]
  return grants(row, attestor, session.selectors, snapshot).includes(database.name)
    ? []
    : [{ lease, reason: 'not_granted' }]
}

/** A fact that fits no template any more grants nothing. */
function grants(
  row: Parameters<typeof entryOf>[0],
  attestor: Parameters<typeof grantOf>[1]['attestor'],
  selectors: Record<string, string | string[]>,
  { trustDomain }: Snapshot,
): string[] {
  try {
    return grantOf(entryOf(row), { attestor, selectors }, trustDomain).databases
  } catch (error) {
    if (error instanceof Refusal) return []
    throw error
  }
}
