import { originOf } from '../../audit/log.ts'
import { refuse } from '../../errors.ts'
import { applyKeyChanges } from '../../keys/apply-changes.ts'
import { ImportedChainError } from '../../keys/imported-chain.ts'
import {
  type KeyChanges,
  RotationError,
  type Rotator,
  rotateLogKey,
  rotateRoot,
  rotateScheduled,
} from '../../keys/rotate.ts'
import type { Knex } from '../../store/database.ts'
import { keepOpen } from '../../store/keep-open.ts'
import { lockKeys, readKeys } from '../../store/keys.ts'
import type { KeyRow } from '../../store/rows.ts'
import type { ChangeAction } from '../context.ts'

/** `level` is that of a CA, by default the issuing one. */
type KeyRotation = { kind: 'ca' | 'jwt' | 'log'; level?: 'root' | 'issuing'; compromised?: boolean }

async function changesFor(
  { kind, level, compromised = false }: KeyRotation,
  rows: readonly KeyRow[],
  now: Date,
  rotator: Rotator,
): Promise<KeyChanges> {
  if (kind === 'log') return rotateLogKey(rows, compromised, now, rotator)
  if (kind === 'jwt') return rotateScheduled(['jwt-es256', 'jwt-rs256'], rows, compromised, now, rotator)
  if (level === 'root') return rotateRoot(rows, compromised, now, rotator)
  return rotateScheduled(['issuing-ca'], rows, compromised, now, rotator)
}

/** Rotates keys ahead of their schedule, or withdraws compromised ones. @throws Refusal `impossible` */
export const rotateKeys =
  ({ rotator }: { rotator: Rotator }): ChangeAction<KeyRotation, KeyChanges> =>
  async ({ time }, tx, { trustDomain, epoch }, rotation) => {
    const rows = await lockedKeys(tx)
    const changes = await orRefuse(() => keepOpen(tx, changesFor(rotation, rows, time, rotator)))
    const { entries, changed, placed } = await applyKeyChanges(tx, changes, originOf(trustDomain, epoch))
    const [entry = {}, ...more] = entries
    return { result: changes, entry, more, changed, placed }
  }

/** The keys under the lock that jobs and operators take before they change any. */
export async function lockedKeys(tx: Knex.Transaction): Promise<KeyRow[]> {
  await lockKeys(tx)
  return readKeys(tx)
}

/** @throws Refusal `impossible` for a rotation or a chain that cannot be */
export async function orRefuse<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof RotationError || error instanceof ImportedChainError) {
      throw refuse('impossible', { detail: error.message })
    }
    throw error
  }
}
