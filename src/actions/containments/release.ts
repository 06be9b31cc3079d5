/** Releases the block of a containment: the caller may attest again. What was revoked stays revoked. */
import type { Change } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import { lockRevocations, releaseBlocks } from '../../store/blocks.ts'
import { lockContainment, updateContainment } from '../../store/containments.ts'
import type { Knex } from '../../store/database.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { type Context, checkReason, operatorName } from '../context.ts'
import type { Contained } from './create.ts'
import { reportOf } from './report.ts'
import { isSubjectWithin } from './subject.ts'
import { reportWithin } from './within.ts'

/** @throws Refusal `not_found` where no block of the containment is in force */
export async function releaseContainment(
  context: Pick<Context, 'caller' | 'reason' | 'time'>,
  tx: Knex.Transaction,
  snapshot: Snapshot,
  id: string,
): Promise<Change<Contained>> {
  checkReason(context, 'must say why the block is released: it goes into the log')
  const containment = await lockContainment(tx, id)
  if (!containment || !isSubjectWithin(containment.subject, context.caller, snapshot)) throw refuse('not_found')
  await lockRevocations(tx)
  const released = await releaseBlocks(tx, id, context.time)
  if (released.length === 0) throw refuse('not_found', { detail: 'no block in force is of this containment' })
  const end = { releasedAt: context.time, releasedBy: operatorName(context) }
  await updateContainment(tx, id, end)
  const row = { ...containment, ...end }
  const counts: Record<string, number> = {}
  for (const { kind } of released) counts[kind] = (counts[kind] ?? 0) + 1
  return {
    result: { row, report: reportWithin(await reportOf(tx, row, context.time), context, snapshot) },
    entry: { resource: { kind: 'containment', id }, change: { after: { released: counts } } },
    changed: [{ table: 'block', where: { revocation: id } }],
  }
}
