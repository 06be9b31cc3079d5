/** Drops the roles of leases, and records the outcome. A failed attempt is repeated at growing intervals, without end. */
import type { EntryPart } from '../../audit/entry.ts'
import type { Recorder } from '../../audit/record.ts'
import type { Opening } from '../../audit/seal.ts'
import { endLeases, postponeLeases } from '../../store/lease-ends.ts'
import type { LeaseRow } from '../../store/leases.ts'
import type { DatabaseRow } from '../../store/rows.ts'
import type { Snapshots } from '../../store/snapshot.ts'
import { type AdminParts, asAdmin } from '../databases/admin.ts'
import { dropRole } from '../databases/drop-role.ts'
import { TargetError, targetError } from '../databases/target-error.ts'
import { leaseEntry } from './entry.ts'

export type RevokeParts = AdminParts & {
  recorder: Pick<Recorder, 'change'>
  snapshots: Pick<Snapshots, 'current'>
  now: () => Date
}

/** Drops the roles of leases that are being revoked and claimed by the caller. Resolves to the leases whose roles are gone. */
export type RevokeRoles = (leases: readonly LeaseRow[], open: Opening) => Promise<Set<string>>

/** After so many failed attempts a lease counts as irrevocable; attempts go on. */
export const irrevocableAfter = 10

/** A longer batch leaves the rest to the next. Shorter than the limit of a connection (databases/connect.ts). */
const maxMs = 20_000

type Failed = { lease: LeaseRow; error: TargetError }

export function createRevokeRoles(parts: RevokeParts): RevokeRoles {
  const { recorder, snapshots, now } = parts

  async function dropAll(database: DatabaseRow, leases: readonly LeaseRow[]): Promise<Failed[]> {
    const failed: Failed[] = []
    const end = now().getTime() + maxMs
    const queue = [...leases]
    try {
      await asAdmin(parts, database, async (session) => {
        for (let lease = queue[0]; lease; lease = queue[0]) {
          if (now().getTime() > end) throw new TargetError('failed', 'the server is slow')
          queue.shift()
          try {
            await dropRole(session, lease.username, database.id)
          } catch (error) {
            failed.push({ lease, error: targetError(error) })
          }
        }
      })
    } catch (error) {
      for (const lease of queue) failed.push({ lease, error: targetError(error) })
    }
    return failed
  }

  async function record(
    open: Opening,
    name: string,
    leases: readonly LeaseRow[],
    failed: readonly Failed[],
  ): Promise<void> {
    const time = now()
    const done = leases.filter((lease) => !failed.some((failure) => failure.lease.id === lease.id))
    const byDetail = new Map<string, LeaseRow[]>()
    for (const { lease, error } of failed) byDetail.set(error.message, [...(byDetail.get(error.message) ?? []), lease])
    const entries: EntryPart[] = [
      ...done.map((lease) => leaseEntry(lease, 'completed', { database: name, reason: lease.reason ?? '' })),
      ...[...byDetail].map(([detail, stuck]) => failureEntry(name, detail, stuck)),
    ]
    const [entry, ...more] = entries
    if (!entry) return
    await recorder.change({ ...open, action: 'lease.revoke' }, async (tx) => ({
      result: undefined,
      entry,
      more,
      async placed() {
        await endLeases(
          tx,
          done.map((lease) => lease.id),
          time,
        )
        for (const [detail, stuck] of byDetail) {
          await postponeLeases(
            tx,
            stuck.map((lease) => lease.id),
            detail,
            time,
          )
        }
      },
    }))
  }

  return async (leases, open) => {
    const revoked = new Set<string>()
    for (const id of new Set(leases.map((lease) => lease.databaseId))) {
      const group = leases.filter((lease) => lease.databaseId === id)
      const database = snapshots.current().databases.get(id)
      const failed = database
        ? await dropAll(database, group)
        : group.map((lease) => ({
            lease,
            error: new TargetError('missing', 'the database is not configured any more'),
          }))
      await record(open, database?.name ?? id, group, failed)
      for (const lease of group) if (!failed.some((failure) => failure.lease.id === lease.id)) revoked.add(lease.id)
    }
    return revoked
  }
}

/** One entry for leases that failed alike: a server that is down makes one, not one for each role. */
const failureEntry = (database: string, detail: string, stuck: readonly LeaseRow[]): EntryPart => ({
  outcome: 'failed',
  ...(stuck.length === 1 && stuck[0] && { resource: { kind: 'lease', id: stuck[0].id, name: stuck[0].username } }),
  detail: {
    database,
    error: detail,
    leases: stuck.map((lease) => lease.id),
    attempts: Math.max(...stuck.map((lease) => lease.attempts)) + 1,
  },
})
