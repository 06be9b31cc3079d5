/** Simulates time without servers, and waits for the remaining work. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Knex } from '../../../../src/store/database.ts'

/**
 * Ages rows for which Purser waits two minutes (claims of a stopped replica, intended roles that were never issued), so that
 * the test need not wait. Runs while no replica runs, since these rows have one writer at a time.
 */
export async function passTwoMinutes(knex: Knex): Promise<void> {
  const before = (column: string) => knex.raw(`${column} - interval '2 minutes'`)
  await knex('rotation').update({ locked_until: before('locked_until'), next_attempt_at: before('next_attempt_at') })
  await knex('lease').update({ locked_until: before('locked_until'), next_attempt_at: before('next_attempt_at') })
  await knex('lease')
    .where({ state: 'intended' })
    .update({ created_at: before('created_at') })
  await knex('lease_renewal').update({ begun_at: before('begun_at') })
  await knex('job_state').where({ name: 'orphan-roles' }).delete()
}

/** Returns the remaining work when there is none, or at the time limit. */
export async function remainingAfter(listRemaining: () => Promise<string[]>, ms: number): Promise<string[]> {
  const end = performance.now() + ms
  for (;;) {
    const rest = await listRemaining()
    if (rest.length === 0 || performance.now() > end) return rest
    await pause(200)
  }
}

/** Rotations in an intermediate state. */
export async function unsettledRotations(knex: Knex): Promise<string[]> {
  const rows: { id: string; state: string; path: string; attempts: number; last_error: string | null }[] = await knex(
    'rotation as r',
  )
    .join('secret as s', 's.id', 'r.secret_id')
    .whereNull('r.ended_at')
    .whereNot('r.state', 'held')
    .select('r.*', 's.path')
  return rows.map(
    (row) => `rotation ${row.id} of ${row.path} is ${row.state} (${row.attempts}: ${row.last_error ?? ''})`,
  )
}

export async function unsettledLeases(knex: Knex): Promise<string[]> {
  const rows: { id: string; state: string; last_error: string | null }[] = await knex('lease').whereIn('state', [
    'intended',
    'revoking',
  ])
  const renewals: string[] = await knex('lease_renewal').pluck('lease_id')
  return [
    ...rows.map(({ id, state, last_error: error }) => `lease ${id} is ${state} (${error ?? ''})`),
    ...renewals.map((id) => `a renewal of lease ${id} has not ended`),
  ]
}

/** Values that an older wrapping key still wraps, and the state of the newest rewrap. */
export async function unsettledKeys(knex: Knex): Promise<string[]> {
  const newest = await knex('keyring_key').orderBy('created_at', 'desc').first('id')
  const versions: unknown[] = await knex('secret_version')
    .whereNotNull('wrapping_key_id')
    .whereNot('wrapping_key_id', newest.id)
    .select('version')
  const state = await knex('job_state').where({ name: 'rewrap' }).first('state')
  if (versions.length > 0) return [`${versions.length} values are wrapped by an older key`]
  const { to, completed } = state?.state ?? {}
  return to === newest.id && completed === true ? [] : [`rewrapping for ${newest.id} is not complete`]
}
