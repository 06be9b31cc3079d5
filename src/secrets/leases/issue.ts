/**
 * Issues leases to a session, all or none: the intent is in the log before a role exists, and the append that names the
 * leases releases them. After a failure they end; a job ends those that a crash leaves.
 */
import type { EntryPart } from '../../audit/entry.ts'
import type { Recorder } from '../../audit/record.ts'
import type { Opening } from '../../audit/seal.ts'
import { refuse } from '../../errors.ts'
import { newId } from '../../names/id.ts'
import { beginRevoking } from '../../store/lease-ends.ts'
import { type LeaseRow, type NewLease, insertLeases } from '../../store/leases.ts'
import type { DatabaseRow } from '../../store/rows.ts'
import type { Logger } from '../../telemetry/log.ts'
import { type AdminParts, asAdmin } from '../databases/admin.ts'
import { definitionOf } from '../databases/definition.ts'
import { createRole } from '../databases/roles.ts'
import { newPassword, scramVerifier } from '../databases/scram.ts'
import { targetError } from '../databases/target-error.ts'
import type { Turns } from '../databases/turns.ts'
import { leaseEntry } from './entry.ts'
import { roleName } from './role-name.ts'
import type { RevokeRoles } from './revoke.ts'

export type LeaseParts = AdminParts & {
  recorder: Pick<Recorder, 'change'>
  randomBytes: (size: number) => Buffer
  turns: Turns
  revokeRoles: RevokeRoles
  log: Pick<Logger, 'warn'>
}

export type Holder = { sessionId: string; workloadId: string; spiffeId: string }

/** A granted database, and until when. */
export type LeaseRequest = { database: DatabaseRow; pointer: string; expiresAt: Date; maxExpiresAt: Date }

type PlannedLease = { row: NewLease; database: DatabaseRow; pointer: string; password: string }

export type IssuedLeases = {
  values: { name: string; lease: string; username: string; password: string; expiresAt: Date }[]
  ids: string[]
  /** Drops the roles where the reply does not leave. */
  undo: () => Promise<void>
}

/** The longest attempt to drop roles. */
const maxAttemptMs = 60_000

/** @throws Refusal `unavailable` that names the part where a role cannot be created; then none is left */
export async function issueLeases(
  parts: LeaseParts,
  open: Opening,
  holder: Holder,
  requests: readonly LeaseRequest[],
  instanceId: string,
): Promise<IssuedLeases> {
  const leases = requests.map((request) => plan(parts, open.time, holder, request, instanceId))
  await intend(parts, open, leases)
  const undo = (): Promise<void> => giveUp(parts, open, leases)
  const outcomes = await Promise.allSettled(leases.map((lease) => makeRole(parts, lease)))
  const failed = outcomes.findIndex((outcome) => outcome.status === 'rejected')
  const outcome = outcomes[failed]
  if (outcome?.status === 'rejected') {
    const { fault, detail } = targetError(outcome.reason)
    parts.log.warn('lease.not_made', { code: fault, note: detail })
    await undo()
    throw refuse('unavailable', {
      errors: [{ pointer: leases[failed]?.pointer ?? '', detail: 'no role can be made in this database now' }],
      explanation: { database: leases[failed]?.database.name, fault, detail },
      retryAfterSeconds: 5,
    })
  }
  return {
    values: leases.map(({ row, database, password }) => ({
      name: database.name,
      lease: row.id,
      username: row.username,
      password,
      expiresAt: row.expiresAt,
    })),
    ids: leases.map(({ row }) => row.id),
    undo,
  }
}

function plan(
  { randomBytes }: LeaseParts,
  now: Date,
  holder: Holder,
  { database, pointer, expiresAt, maxExpiresAt }: LeaseRequest,
  instanceId: string,
): PlannedLease {
  const id = newId('ls', randomBytes)
  return {
    row: {
      id,
      databaseId: database.id,
      ...holder,
      username: roleName(instanceId, id),
      createdAt: now,
      expiresAt,
      maxExpiresAt,
    },
    database,
    pointer,
    password: newPassword(randomBytes),
  }
}

/** The intent precedes the effect: after a crash, a job ends the leases of these rows. */
async function intend({ recorder }: LeaseParts, open: Opening, leases: readonly PlannedLease[]): Promise<void> {
  await recorder.change({ ...open, action: 'lease.issue' }, async (tx, snapshot) => {
    for (const { database } of leases) {
      if (snapshot.databases.get(database.id)?.revision !== database.revision)
        throw refuse('log_unavailable', { retryAfterSeconds: 1, detail: 'the database was changed meanwhile' })
    }
    await insertLeases(
      tx,
      leases.map(({ row }) => row),
    )
    return { result: undefined, ...entriesFor(leases.map((lease) => entryFor(lease, 'intended'))) }
  })
}

const entryFor = ({ row, database }: PlannedLease, outcome: 'intended' | 'failed'): EntryPart =>
  leaseEntry(row, outcome, { database: database.name, expiresAt: row.expiresAt.toISOString() })

function entriesFor([entry = {}, ...more]: EntryPart[]): { entry: EntryPart; more: EntryPart[] } {
  return { entry, more }
}

async function makeRole(parts: LeaseParts, { row, database, password }: PlannedLease): Promise<void> {
  const verifier = await scramVerifier(password, parts.randomBytes)
  await parts.turns(database.id, () =>
    asAdmin(parts, database, (session) =>
      createRole(session, definitionOf(database).roles, {
        username: row.username,
        verifier,
        expiresAt: row.expiresAt,
      }),
    ),
  )
}

/** A job does what fails here: the rows stay. */
async function giveUp(parts: LeaseParts, open: Opening, leases: readonly PlannedLease[]): Promise<void> {
  const now = open.time
  const ids = leases.map(({ row }) => row.id)
  const opening = { ...open, action: 'lease.issue' as const }
  try {
    await parts.recorder.change(opening, async (tx) => ({
      result: undefined,
      ...entriesFor(leases.map((lease) => entryFor(lease, 'failed'))),
      // Active ones too: where the answer of the append was lost, they may be active, though no reply left.
      placed: () =>
        beginRevoking(tx, ids, ['intended', 'active'], {
          reason: 'not_given_out',
          now,
          until: new Date(now.getTime() + maxAttemptMs),
        }),
    }))
    await parts.revokeRoles(
      leases.map(({ row }): LeaseRow => ({ ...row, state: 'revoking', attempts: 0 })),
      opening,
    )
  } catch (err) {
    parts.log.warn('lease.undo_failed', { err })
  }
}
