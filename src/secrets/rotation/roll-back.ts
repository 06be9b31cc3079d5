/** Returns to an earlier value by a rotation: version numbers only grow, and the withdrawn version keeps its consumers. */
import { refuse } from '../../errors.ts'
import type { Knex } from '../../store/database.ts'
import { type RotationRow, versionsWithSameValue } from '../../store/rotations.ts'
import { readVersions } from '../../store/secret-versions.ts'
import { openData } from '../value.ts'
import { type Beginning, type Begun, type RotationParts, beginRotation, rotatorOf, valueOf } from './begin.ts'
import { type Plan, planOf } from './policy.ts'
import { endRunning } from './running.ts'

type Rollback = Omit<Beginning, 'data' | 'plan'> & {
  toVersion: number
  /** Used where no rotation runs. */
  plan: Plan
  /** The rotation that runs, its row locked. */
  running: RotationRow | undefined
}

/** @throws Refusal `conflict` for a version that opens nothing any more, `not_found`, and as `beginRotation` */
export async function rollBack(tx: Knex.Transaction, parts: RotationParts, rollback: Rollback): Promise<Begun> {
  const { secret, toVersion, running, now } = rollback
  if (toVersion >= secret.version) throw impossible('must be a version before the live one')
  const [row] = await readVersions(tx, [{ secretId: secret.id, version: toVersion }])
  if (!row || row.staged) throw refuse('not_found', { detail: 'there is no such version' })
  if (row.retiredAt) throw refuse('conflict', { detail: 'that version was retired: it opens nothing any more' })
  const isOver = row.deletedAt !== undefined || (row.expiresAt !== undefined && row.expiresAt <= now)
  if (!row.sealed || isOver) throw refuse('conflict', { detail: 'that version has no value any more' })
  const { deadlineSeconds, onDeadline, moved, allowOverlap, rotator } = running ? planOf(running) : rollback.plan
  const data = openData(parts.keyring, secret, row)
  const current = await valueOf(tx, parts.keyring, secret, secret.version)
  const live = { config: rotator, ...(current && { current }) }
  const why = rotatorOf(parts.rotators, { rotator }).refusesAgain?.(data, live)
  if (why !== undefined) throw refuse('conflict', { detail: `the value of that version can't be set again: ${why}` })
  if (running) await endRunning(tx, running, 'rolled_back', now)
  const alike = await versionsWithSameValue(tx, secret.id, toVersion)
  const plan: Plan = { deadlineSeconds, onDeadline, moved, allowOverlap, rotator, rollbackTo: toVersion, alike }
  const start = await beginRotation(tx, parts, { ...rollback, plan, data })
  return running ? { ...start, entry: withDetail(start.entry, { rolledBack: running.id }) } : start
}

const withDetail = (entry: Begun['entry'], more: object): Begun['entry'] => ({
  ...entry,
  detail: { ...entry.detail, ...more },
})

const impossible = (detail: string): Error => refuse('impossible', { errors: [{ pointer: '/toVersion', detail }] })
