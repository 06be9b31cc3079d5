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
import { aboutLease } from '../secrets/leases/entry.ts'
import { type RevokeRoles, irrevocableAfter } from '../secrets/leases/revoke.ts'
import type { Database } from '../store/database.ts'
import { beginRevoking, takeRevoking } from '../store/lease-ends.ts'
import {
  type HeldLease,
  type LeaseCounts,
  type LeaseRow,
  countLeases,
  expiredLeases,
  forsakenLeases,
  heldLeases,
  strandedLeases,
} from '../store/leases.ts'
import type { Snapshot, Snapshots } from '../store/snapshot.ts'
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
const page = 100
const mostPages = 50
const batch = 50
/** For how long a replica has a batch to itself. */
const busyMs = 120_000
/** What is decided from memory is looked at when memory changed, and once in a while. */
const lookEveryMs = 60_000

type Over = { lease: LeaseRow; reason: string }

export function leaseJob(parts: LeaseJobParts): Job {
  const { db, snapshots, revokeRoles, now, metrics } = parts
  let looked = { revision: -1, at: -Infinity }

  /** Answers whether each of them is ended, or another replica is at it. */
  async function end(over: readonly Over[]): Promise<boolean> {
    if (over.length === 0) return true
    const { databases } = snapshots.current()
    const entries = over.map(({ lease, reason }) =>
      aboutLease(lease, 'intended', { database: databases.get(lease.databaseId)?.name ?? lease.databaseId, reason }),
    )
    try {
      await changeOnce(parts, lock, 'lease.revoke', async (tx, time) => {
        const [entry = {}, ...more] = entries
        return {
          reply: undefined,
          entry,
          more,
          async placed() {
            let begun = 0
            for (const reason of new Set(over.map((one) => one.reason))) {
              const ids = over.filter((one) => one.reason === reason).map((one) => one.lease.id)
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

  async function endPages(find: (time: Date) => Promise<LeaseRow[]>, reason: string): Promise<void> {
    for (let pages = 0; pages < mostPages; pages++) {
      const found = await find(now())
      await end(found.map((lease) => ({ lease, reason })))
      if (found.length < page) break
    }
  }

  async function endAll(): Promise<void> {
    await endPages((time) => expiredLeases(db.knex, time, page), 'over')
    await endPages((time) => forsakenLeases(db.knex, time, page), 'session')
    const before = new Date(now().getTime() - strandedAfterMs)
    await end((await strandedLeases(db.knex, before, page)).map((lease) => ({ lease, reason: 'not_given_out' })))
    const known = snapshots.current()
    const time = now().getTime()
    if (known.revision === looked.revision && Math.abs(time - looked.at) < lookEveryMs) return
    let isSettled = true
    for (let after = ''; ;) {
      const held = await heldLeases(db.knex, after, page)
      if (!(await end(held.flatMap((lease): Over[] => asOver(lease, known, now()))))) isSettled = false
      const last = held.at(-1)
      if (!last || held.length < page) break
      after = last.id
    }
    // Where one of a page had moved on, the others wait for the next run, and not for the next change.
    if (isSettled) looked = { revision: known.revision, at: time }
  }

  async function revokeDue(): Promise<void> {
    for (let pages = 0; pages < mostPages; pages++) {
      const time = now()
      const leases = await takeRevoking(db.knex, time, new Date(time.getTime() + busyMs), batch)
      if (leases.length === 0) return
      await revokeRoles(leases, opening(parts))
    }
  }

  return {
    name: 'leases',
    everySeconds: 1,
    async run() {
      await endAll()
      await endRenewals(parts)
      await revokeDue()
      metrics.leases(await countLeases(db.knex, irrevocableAfter))
    },
  }
}

/** Thrown under the head lock, so that it rolls back. */
const movedOn = new Error('the leases moved on')

const opening = (parts: LeaseJobParts): Opening => openBySystem('lease.revoke', parts)

/** Whether its session still stands as far as memory knows, and is still granted the database. */
function asOver(lease: HeldLease, known: Snapshot, now: Date): Over[] {
  const { session, workloadId } = lease
  if (!session) return []
  const of = { id: lease.sessionId, workloadId, ...session }
  if (!stands(known, of)) return [{ lease, reason: 'workload' }]
  if (blockOf(known, of, now)) return [{ lease, reason: 'blocked' }]
  const row = known.workloads.get(workloadId)
  const attestor = known.attestors.get(session.attestorId)
  const database = known.databases.get(lease.databaseId)
  if (!row || !attestor || !database) return [{ lease, reason: 'workload' }]
  return grants(row, attestor, session.selectors, known).includes(database.name)
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
