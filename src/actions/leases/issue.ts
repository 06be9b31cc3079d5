/** Issues a role in each database that a workload requests and is granted. */
import type { Actor } from '../../audit/entry.ts'
import type { Decision } from '../../authorize/decide.ts'
import { type Problem, type RefusalCode, refuse } from '../../errors.ts'
import { endOf, rfc3339 } from '../../issue/lifetime.ts'
import { definitionOf } from '../../secrets/databases/definition.ts'
import { type LeaseParts, type LeaseRequest, issueLeases } from '../../secrets/leases/issue.ts'
import { countOpenLeases } from '../../store/leases.ts'
import type { SessionRow } from '../../store/effects.ts'
import type { Issued } from '../../store/issued.ts'
import { byName } from '../../store/registrations.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'

export type IssuedDatabases = {
  values: { name: string; lease: string; username: string; password: string; expiresAt: string }[]
  record: NonNullable<Issued['leases']>
  ids: string[]
  undo: () => Promise<void>
  /** Whether a newer snapshot gives the same roles. */
  holds: (snapshot: Pick<Snapshot, 'databases'>) => boolean
}

export type IssueDatabases = (
  context: Pick<Context, 'requestId' | 'time' | 'address'>,
  snapshot: Snapshot,
  request: {
    names: readonly string[]
    decision: Decision
    session: SessionRow
    actor: Actor
  },
) => Promise<IssuedDatabases | undefined>

/** Open leases of one session: a pod in a restart loop must not take more. */
const maxOpen = 64
/** Seconds until another lease may have ended. */
const retryAfterSeconds = 60

export function createIssueDatabases(parts: LeaseParts): IssueDatabases {
  return async (context, snapshot, { names, decision: { entry, grant }, session, actor }) => {
    if (names.length === 0) return undefined
    // The append decides; this check spares roles that would be dropped at once.
    if (!snapshot.issuing) throw refuse('issuing_closed')
    const requests = decideDatabases(snapshot, names, grant.databases, session, context.time)
    if ((await countOpenLeases(parts.db.knex, session.id)) + requests.length > maxOpen) {
      const detail = `a session has at most ${maxOpen} open leases`
      throw refuse('rate_limited', { errors: [{ pointer: '/databases', detail }], retryAfterSeconds })
    }
    const open = {
      requestId: context.requestId,
      action: 'lease.issue' as const,
      time: context.time,
      actor,
      source: { ip: context.address },
    }
    const holder = { sessionId: session.id, workloadId: entry.row.id, spiffeId: grant.spiffeId }
    const { values, ids, undo } = await issueLeases(parts, open, holder, requests, snapshot.instanceId)
    const replies = values.map((value) => ({ ...value, expiresAt: rfc3339(value.expiresAt) }))
    return {
      values: replies,
      record: replies.map(({ lease, name, username, expiresAt }) => ({
        id: lease,
        database: name,
        username,
        expiresAt,
      })),
      ids,
      undo,
      holds: ({ databases }) =>
        requests.every(({ database }) => databases.get(database.id)?.revision === database.revision),
    }
  }
}

/** @throws Refusal `not_granted` before anything says whether it exists, `not_found`, `expires_too_soon` */
function decideDatabases(
  snapshot: Pick<Snapshot, 'databases'>,
  names: readonly string[],
  granted: readonly string[],
  session: Pick<SessionRow, 'expiresAt'>,
  now: Date,
): LeaseRequest[] {
  const at = (name: string): string => `/databases/${names.indexOf(name)}`
  const denied = names.filter((name) => !granted.includes(name))
  if (denied.length > 0) throw refused('not_granted', denied.map(at), 'is not granted to the caller')
  const missing = names.filter((name) => !byName(snapshot.databases, name))
  if (missing.length > 0)
    throw refused('not_found', missing.map(at), 'is granted, and no database of that name is configured')
  return names.flatMap((name): LeaseRequest[] => {
    const database = byName(snapshot.databases, name)
    if (!database) return []
    const { defaultLifetimeSeconds, maxLifetimeSeconds } = definitionOf(database)
    return [
      {
        database,
        pointer: at(name),
        expiresAt: endOf(now, undefined, defaultLifetimeSeconds, [session.expiresAt]),
        maxExpiresAt: new Date(now.getTime() + maxLifetimeSeconds * 1000),
      },
    ]
  })
}

function refused(code: RefusalCode, pointers: readonly string[], detail: string): Error {
  const errors: Problem[] = pointers.map((pointer) => ({ pointer, detail }))
  return refuse(code, { errors })
}
