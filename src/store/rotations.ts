/** Rotations of secrets. A unique index ensures that one rotation of a secret runs at a time. */
import { type Columns, columnsOf, membersOf } from './columns.ts'
import type { Knex } from './database.ts'

type Tx = Knex.Transaction

export type RotationState =
  'pending' | 'issued' | 'waiting' | 'held' | 'retired' | 'failed' | 'rolled_back' | 'superseded'

export type RotationRow = {
  id: string
  secretId: string
  state: RotationState
  rotator: string
  fromVersion: number
  /** The version that is staged for this rotation. */
  toVersion: number
  definition: Record<string, unknown>
  /** Holders for which the rotation does not wait. */
  excused: string[]
  /** `operator:<name>`, or `schedule`. */
  requestedBy: string
  attempts: number
  lastError?: string
  nextAttemptAt?: Date
  /** Until this time one replica works on the rotation. The exact time also identifies that replica's claim. */
  lockedUntil?: Date
  deadlineAt?: Date
  startedAt: Date
  updatedAt: Date
  endedAt?: Date
}

type RotationRecord = Columns<RotationRow>

const toRotation = (row: RotationRecord): RotationRow => membersOf(row)

const progressColumns = (row: RotationRow): Record<string, unknown> => ({
  state: row.state,
  definition: JSON.stringify(row.definition),
  excused: JSON.stringify(row.excused),
  attempts: row.attempts,
  last_error: row.lastError ?? null,
  next_attempt_at: row.nextAttemptAt ?? null,
  locked_until: row.lockedUntil ?? null,
  deadline_at: row.deadlineAt ?? null,
  updated_at: row.updatedAt,
  ended_at: row.endedAt ?? null,
})

export const insertRotation = (tx: Tx, row: RotationRow): Promise<unknown> => tx('rotation').insert(columnsOf(row))

export const updateRotation = (tx: Tx, row: RotationRow): Promise<unknown> =>
  tx('rotation').where({ id: row.id }).update(progressColumns(row))

/** The running rotation of a secret, with its row locked. */
export async function lockRunning(tx: Tx, secretId: string): Promise<RotationRow | undefined> {
  const row: RotationRecord | undefined = await tx('rotation')
    .where({ secret_id: secretId })
    .whereNull('ended_at')
    .forUpdate()
    .first()
  return row && toRotation(row)
}

/** Rotations of a secret, newest first. */
export async function listRotations(knex: Knex, secretId: string, max: number): Promise<RotationRow[]> {
  const rows: RotationRecord[] = await knex('rotation')
    .where({ secret_id: secretId })
    .orderBy([
      { column: 'started_at', order: 'desc' },
      { column: 'to_version', order: 'desc' },
    ])
    .limit(max)
  return rows.map(toRotation)
}

/** All running rotations with the paths of their secrets. */
export async function runningRotations(knex: Knex): Promise<(RotationRow & { path: string })[]> {
  const rows: (RotationRecord & { path: string })[] = await knex('rotation as r')
    .join('secret as s', 's.id', 'r.secret_id')
    .whereNull('r.ended_at')
    .select('r.*', 's.path')
  return rows.map(membersOf<RotationRow & { path: string }>)
}

/** Whether a running rotation uses the database of this name, by the policy with which it began. */
export async function rotatesIn(knex: Knex, name: string): Promise<boolean> {
  const row: unknown = await knex('rotation')
    .whereNull('ended_at')
    .whereRaw(`definition -> 'rotator' ->> 'database' = ?`, [name])
    .first('id')
  return row !== undefined
}

const unclaimed = (knex: Knex, now: Date) =>
  knex('rotation')
    .whereNull('ended_at')
    .where((query) => void query.whereNull('locked_until').orWhere('locked_until', '<=', now))

/** Rotations that are due and unclaimed. */
export async function dueRotations(knex: Knex, now: Date, max: number): Promise<(RotationRow & { path: string })[]> {
  const rows: (RotationRecord & { path: string })[] = await unclaimed(knex, now)
    .join('secret as s', 's.id', 'rotation.secret_id')
    .where('next_attempt_at', '<=', now)
    .orderBy('next_attempt_at')
    .limit(max)
    .select('rotation.*', 's.path')
  return rows.map(membersOf<RotationRow & { path: string }>)
}

/** The number of running rotations in each state, and the start of the oldest. */
export async function countRotations(knex: Knex): Promise<{ state: RotationState; count: number; oldest: Date }[]> {
  const rows: { state: RotationState; count: string; oldest: Date }[] = await knex('rotation')
    .whereNull('ended_at')
    .groupBy('state')
    .select('state', knex.raw('count(*) as count'), knex.raw('min(started_at) as oldest'))
  return rows.map((row) => ({ ...row, count: Number(row.count) }))
}

/** Claims a rotation until a time, unless it is claimed or has changed. Counts an attempt. */
export async function claimRotation(
  knex: Knex,
  { id, state, attempts, updatedAt }: RotationRow,
  now: Date,
  until: Date,
): Promise<RotationRow | undefined> {
  const rows: RotationRecord[] = await knex('rotation')
    .whereIn(
      'id',
      unclaimed(knex, now).where({ id, state, attempts, updated_at: updatedAt }).select('id').forUpdate().skipLocked(),
    )
    .update({ locked_until: until, attempts: knex.raw('attempts + 1') })
    .returning('*')
  return rows[0] && toRotation(rows[0])
}

/** Locks the row of a claimed rotation. Returns undefined when the claim has expired and another one replaced it. */
export async function lockClaimed(tx: Tx, { id, lockedUntil }: RotationRow): Promise<RotationRow | undefined> {
  const row: RotationRecord | undefined = await tx('rotation')
    .where({ id, locked_until: lockedUntil ?? null })
    .whereNull('ended_at')
    .forUpdate()
    .first()
  return row && toRotation(row)
}

/** Postpones the next check of a rotation that waits, unless the rotation has changed meanwhile. */
export const postponeCheck = (knex: Knex, { id, updatedAt }: RotationRow, now: Date, at: Date): Promise<number> =>
  unclaimed(knex, now)
    .where({ id, updated_at: updatedAt })
    .whereIn('state', ['issued', 'waiting'])
    .update({ next_attempt_at: at, state: 'waiting' })

/** All versions with the same value as a version, including itself. A rollback creates a version from an earlier one. */
export async function versionsWithSameValue(tx: Tx, secretId: string, version: number): Promise<number[]> {
  const { rows } = await tx.raw<{ rows: { version: number }[] }>(
    `with recursive same (version) as (
       select ?::int
       union select case when r.copy = s.version then r.source else r.copy end
         from same s join (
           select to_version as copy, (definition ->> 'rollbackTo')::int as source from rotation
            where secret_id = ? and definition ->> 'rollbackTo' is not null) r on s.version in (r.copy, r.source))
     select version from same order by 1`,
    [version, secretId],
  )
  return rows.map((row) => row.version)
}

/** Retires the versions below `below`, except `alike`, which have the live value. Returns the retired versions. */
export async function retireVersions(
  tx: Tx,
  secretId: string,
  { below, alike }: { below: number; alike: readonly number[] },
  now: Date,
): Promise<number[]> {
  const rows: { version: number }[] = await tx('secret_version')
    .where({ secret_id: secretId, staged: false })
    .where('version', '<', below)
    .whereNotIn('version', [...alike])
    .whereNull('retired_at')
    .whereNull('destroyed_at')
    .update({ retired_at: now })
    .returning('version')
  return rows.map((row) => row.version).toSorted((a, b) => a - b)
}

/** Turns a staged version into a regular version of the secret. */
export const unstage = (tx: Tx, secretId: string, version: number): Promise<number> =>
  tx('secret_version').where({ secret_id: secretId, version, staged: true }).update({ staged: false })
