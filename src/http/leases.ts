/** Leases: listed, extended by the session that holds them, ended by it or by an operator. */
import { grantOf } from '../authorize/decide.ts'
import { entryOf } from '../authorize/entries.ts'
import { refuse } from '../errors.ts'
import { asAdmin } from '../secrets/databases/admin.ts'
import { definitionOf } from '../secrets/databases/definition.ts'
import { extendRole } from '../secrets/databases/roles.ts'
import { targetError } from '../secrets/databases/target-error.ts'
import { aboutLease } from '../secrets/leases/entry.ts'
import type { LeaseParts } from '../secrets/leases/issue.ts'
import type { Knex } from '../store/database.ts'
import { abandonLease, beginRevoking } from '../store/lease-ends.ts'
import { type LeaseRow, extendLease, leaseById, listLeases } from '../store/leases.ts'
import { deleteRenewal, insertRenewal } from '../store/renewals.ts'
import { byName } from '../store/registrations.ts'
import type { DatabaseRow } from '../store/rows.ts'
import type { Snapshot, Snapshots } from '../store/snapshot.ts'
import { openCursor, sealCursor } from './cursors.ts'
import { showLease } from './database-view.ts'
import type { ListParts } from './lists.ts'
import { type ApiRequest, json, queryFor } from './request.ts'
import type { Act, ChangeState, Read } from './route.ts'
import { checkReason } from '../actions/context.ts'

export type LeaseRouteParts = ListParts & { leasing: LeaseParts; snapshots: Pick<Snapshots, 'current'> }

/** As long as an attempt to take a role away may last. */
const busyMs = 60_000

export function createLeaseRoutes(parts: LeaseRouteParts): {
  list: Read
  renew: Act
  revoke: Act
  abandon: ChangeState
} {
  const { keys, snapshots, leasing } = parts
  const { db, turns, revokeRoles } = leasing
  const databases = () => snapshots.current().databases

  return {
    async list(request, snapshot) {
      const { limit = 50, cursor, ...filters } = queryFor(request, 'listLeases')
      const { key } = keys.signing(snapshot, 'mac', request.time)
      const scope = { list: 'leases', filters, caller: request.caller, time: request.time }
      const after = cursor === undefined ? '' : openCursor(key, scope, cursor)
      const { database, session, state } = filters
      const databaseId = database === undefined ? undefined : (byName(snapshot.databases, database)?.id ?? '')
      const filter = {
        ...(databaseId !== undefined && { databaseId }),
        ...(session !== undefined && { sessionId: session }),
        ...(state !== undefined && { state }),
      }
      const rows = await listLeases(db.knex, filter, after, limit + 1)
      const shown = rows.slice(0, limit)
      const last = shown.at(-1)
      return json({
        items: shown.map((row) => showLease(row, snapshot.databases)),
        nextCursor: last && rows.length > limit ? sealCursor(key, scope, last.id) : null,
      })
    },

    async renew(request, { begin, finish }) {
      const { result: plan } = await begin(async (tx, snapshot) => {
        const lease = await find(request, await leaseById(tx, request.params.id ?? ''))
        const found = extension(request, lease, snapshot)
        const detail = { database: found.database.name, expiresAt: found.expiresAt.toISOString() }
        await insertRenewal(tx, { id: request.requestId, leaseId: lease.id }, request.time)
        return { result: found, entry: aboutLease(lease, 'intended', detail) }
      })
      const { lease, database, expiresAt } = plan
      // It took so long that the job has said that it failed (jobs/lease-renewals.ts).
      const endOne = async (tx: Knex.Transaction): Promise<void> => {
        if (!(await deleteRenewal(tx, request.requestId))) throw refuse('unavailable', { retryAfterSeconds: 5 })
      }
      const detail = { database: database.name, expiresAt: expiresAt.toISOString() }
      try {
        await turns(database.id, () =>
          asAdmin(leasing, database, (session) => extendRole(session, lease.username, expiresAt)),
        )
      } catch (error) {
        const { message } = targetError(error)
        const failed = aboutLease(lease, 'failed', { database: database.name, error: message })
        await finish(async (tx) => {
          await endOne(tx)
          return { result: undefined, entry: failed }
        })
        throw refuse('unavailable', { detail: 'the role can’t be extended now', retryAfterSeconds: 5 })
      }
      return finish(async (tx) => {
        await endOne(tx)
        return {
          result: json(showLease({ ...lease, expiresAt }, databases())),
          entry: aboutLease(lease, 'completed', detail),
          async placed() {
            if ((await extendLease(tx, lease.id, expiresAt)) !== 1) throw over()
          },
        }
      })
    },

    async revoke(request, { open, begin, finish }) {
      const { result: lease } = await begin(async (tx) => {
        const found = await find(request, await leaseById(tx, request.params.id ?? ''))
        if (found.state === 'abandoned') throw refuse('conflict', { detail: 'it was abandoned: nobody tries any more' })
        const reason = request.caller.kind === 'operator' ? 'revoked' : 'given_up'
        const until = new Date(request.time.getTime() + busyMs)
        return {
          result: { ...found, reason: found.reason ?? reason },
          entry: aboutLease(found, 'intended', { database: nameOf(databases(), found), reason }),
          // One that is being revoked already is somebody's: the job's, or another caller's.
          placed: () => beginRevoking(tx, [found.id], ['intended', 'active'], { reason, now: request.time, until }),
        }
      })
      if (lease.state === 'intended' || lease.state === 'active') await revokeRoles([lease], open)
      const now = (await leaseById(db.knex, lease.id)) ?? lease
      return finish(async () => ({
        result: json(showLease(now, databases()), { status: now.state === 'revoked' ? 200 : 202 }),
        entry: aboutLease(now, 'granted', { database: nameOf(databases(), now), state: now.state }),
      }))
    },

    /** Its server is gone for good: the log says that nobody took the role away. */
    async abandon(request, tx) {
      checkReason(request, 'must say why nobody will take the role away: it goes into the log')
      const lease = await find(request, await leaseById(tx, request.params.id ?? ''))
      if (lease.state !== 'revoking' || lease.attempts === 0)
        throw refuse('conflict', { detail: `it is ${lease.state}: only what was tried to be revoked can be abandoned` })
      const { attempts, lastError = '' } = lease
      const abandoned: LeaseRow = { ...lease, state: 'abandoned', reason: 'abandoned', endedAt: request.time }
      return {
        result: json(showLease(abandoned, databases())),
        entry: aboutLease(lease, 'granted', { database: nameOf(databases(), lease), attempts, lastError }),
        async placed() {
          if ((await abandonLease(tx, lease.id, 'abandoned', request.time)) !== 1) throw refuse('conflict')
        },
      }
    },
  }
}

const over = (): Error => refuse('lease_over')

const nameOf = (databases: Snapshot['databases'], { databaseId }: LeaseRow): string =>
  databases.get(databaseId)?.name ?? databaseId

/** Somebody else's is as good as none. @throws Refusal `not_found` */
async function find({ caller }: ApiRequest, lease: LeaseRow | undefined): Promise<LeaseRow> {
  if (!lease) throw refuse('not_found')
  if (caller.kind === 'operator') return lease
  if (caller.kind !== 'session' || caller.session.id !== lease.sessionId) throw refuse('not_found')
  return lease
}

/** @throws Refusal `lease_over`, `not_granted` */
function extension(
  { caller, time }: ApiRequest,
  lease: LeaseRow,
  snapshot: Snapshot,
): { lease: LeaseRow; database: DatabaseRow; expiresAt: Date } {
  if (caller.kind !== 'session') throw refuse('token_type')
  const { session } = caller
  if (lease.state !== 'active' || lease.expiresAt <= time) throw over()
  const database = snapshot.databases.get(lease.databaseId)
  const row = snapshot.workloads.get(session.workloadId)
  const attestor = snapshot.attestors.get(session.attestorId)
  if (!row || row.disabled || !attestor) throw refuse('unauthenticated')
  const { databases } = grantOf(entryOf(row), { attestor, selectors: session.selectors }, snapshot.trustDomain)
  if (!database || !databases.includes(database.name)) throw refuse('not_granted')
  const { defaultLifetimeSeconds } = definitionOf(database)
  const wanted = Math.min(
    time.getTime() + defaultLifetimeSeconds * 1000,
    lease.maxExpiresAt.getTime(),
    session.expiresAt.getTime(),
  )
  // Never shorter: a renewal that is late by a clock takes nothing away.
  return { lease, database, expiresAt: new Date(Math.max(wanted, lease.expiresAt.getTime())) }
}
