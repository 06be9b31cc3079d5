/**
 * Leases for a session: intended in the log before there is a role, made all or none, and given out by the append that
 * names them. Whatever goes wrong on the way, they end; what a crash leaves behind, the job finds.
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

/** A database that was decided on, and until when. */
export type Wished = { database: DatabaseRow; pointer: string; expiresAt: Date; maxExpiresAt: Date }

type Made = { row: NewLease; database: DatabaseRow; pointer: string; password: string }

export type Leased = {
  values: { name: string; lease: string; username: string; password: string; expiresAt: Date }[]
  ids: string[]
  /** Nothing of it leaves: the roles go. */
  undo: () => Promise<void>
}

/** As long as an attempt to take roles away may last. */
const busyMs = 60_000

/** @throws Refusal `unavailable` naming the part, where a role can't be made; then none is left */
export async function issueLeases(
  parts: LeaseParts,
  open: Opening,
  holder: Holder,
  wished: readonly Wished[],
  instanceId: string,
): Promise<Leased> {
  const made = wished.map((one) => plan(parts, open.time, holder, one, instanceId))
  await intend(parts, open, made)
  const undo = (): Promise<void> => giveUp(parts, open, made)
  const outcomes = await Promise.allSettled(made.map((made) => makeRole(parts, made)))
  const failed = outcomes.findIndex((outcome) => outcome.status === 'rejected')
  const outcome = outcomes[failed]
  if (outcome?.status === 'rejected') {
    const { fault, detail } = targetError(outcome.reason)
    parts.log.warn('lease.not_made', { code: fault, note: detail })
    await undo()
    throw refuse('unavailable', {
      errors: [{ pointer: made[failed]?.pointer ?? '', detail: 'no role can be made in this database now' }],
      explanation: { database: made[failed]?.database.name, fault, detail },
      retryAfterSeconds: 5,
    })
  }
  return {
    values: made.map(({ row, database, password }) => ({
      name: database.name,
      lease: row.id,
      username: row.username,
      password,
      expiresAt: row.expiresAt,
    })),
    ids: made.map(({ row }) => row.id),
    undo,
  }
}

function plan({ randomBytes }: LeaseParts, now: Date, holder: Holder, wished: Wished, instanceId: string): Made {
  const { database, pointer, expiresAt, maxExpiresAt } = wished
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

/** Intent before effect: from here on a crash leaves a row that the job takes back. */
async function intend({ recorder }: LeaseParts, open: Opening, made: readonly Made[]): Promise<void> {
  await recorder.change({ ...open, action: 'lease.issue' }, async (tx, snapshot) => {
    for (const { database } of made) {
      if (snapshot.databases.get(database.id)?.revision !== database.revision)
        throw refuse('log_unavailable', { retryAfterSeconds: 1, detail: 'the database was changed meanwhile' })
    }
    await insertLeases(
      tx,
      made.map(({ row }) => row),
    )
    return { result: undefined, ...entriesFor(made.map((made) => about(made, 'intended'))) }
  })
}

const about = ({ row, database }: Made, outcome: 'intended' | 'failed'): EntryPart =>
  leaseEntry(row, outcome, { database: database.name, expiresAt: row.expiresAt.toISOString() })

function entriesFor([entry = {}, ...more]: EntryPart[]): { entry: EntryPart; more: EntryPart[] } {
  return { entry, more }
}

async function makeRole(parts: LeaseParts, { row, database, password }: Made): Promise<void> {
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

/** What can't be said or done now is the job's: the rows are there. */
async function giveUp(parts: LeaseParts, open: Opening, made: readonly Made[]): Promise<void> {
  const now = open.time
  const ids = made.map(({ row }) => row.id)
  const opening = { ...open, action: 'lease.issue' as const }
  try {
    await parts.recorder.change(opening, async (tx) => ({
      result: undefined,
      ...entriesFor(made.map((made) => about(made, 'failed'))),
      // Also active ones: a lost answer of the append may hide that they were given out, and nothing left.
      placed: () =>
        beginRevoking(tx, ids, ['intended', 'active'], {
          reason: 'not_given_out',
          now,
          until: new Date(now.getTime() + busyMs),
        }),
    }))
    await parts.revokeRoles(
      made.map(({ row }): LeaseRow => ({ ...row, state: 'revoking', attempts: 0 })),
      opening,
    )
  } catch (err) {
    parts.log.warn('lease.undo_failed', { err })
  }
}
