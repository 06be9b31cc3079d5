import { originOf } from '../../audit/log.ts'
import type { Change } from '../../audit/record.ts'
import { applyKeyChanges } from '../../keys/apply-changes.ts'
import { type KeyChanges, type Rotator, rotateLogKey, rotateRoot, rotateScheduled } from '../../keys/rotate.ts'
import type { Knex } from '../../store/database.ts'
import { keepOpen } from '../../store/keep-open.ts'
import type { KeyRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { lockedKeys, orRefuse } from './locked.ts'

/** `level` is that of a CA; the issuing one unless given. */
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
  ({ rotator }: { rotator: Rotator }) =>
  async (
    { time }: Pick<Context, 'time'>,
    tx: Knex.Transaction,
    { trustDomain, epoch }: Snapshot,
    rotation: KeyRotation,
  ): Promise<Change<KeyChanges>> => {
    const rows = await lockedKeys(tx)
    const changes = await orRefuse(() => keepOpen(tx, changesFor(rotation, rows, time, rotator)))
    const { entries, changed, placed } = await applyKeyChanges(tx, changes, originOf(trustDomain, epoch))
    const [entry = {}, ...more] = entries
    return { result: changes, entry, more, changed, placed }
  }
