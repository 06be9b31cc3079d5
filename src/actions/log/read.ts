/** One entry with its proof, and the proof that the log only grew between two sizes. */
import { formatProof } from '@purser/sdk/verify'
import type { LogEntry } from '../../audit/entry.ts'
import type { Release } from '../../audit/record.ts'
import { type Caller, boundOf } from '../../authorize/caller.ts'
import { refuse } from '../../errors.ts'
import type { Database } from '../../store/database.ts'
import { type EntryRow, readEntries } from '../../store/entries.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { impossible } from '../registrations.ts'
import { type EpochParts, epochView, reading } from './epoch-view.ts'
import { isEntryWithin } from './visible.ts'

export type ProvenEntry = { epoch: number; row: EntryRow; proof: string }
type Growth = { epoch: number; from: number; to: number }
type ProvenGrowth = Growth & { consistency: Buffer[]; checkpoint: string }

/** @throws Refusal `not_found`, also for an entry outside the caller's bound */
export const readEntry =
  ({ db, epochs }: EpochParts & { db: Pick<Database, 'knex'> }) =>
  async (
    { caller }: Pick<Context, 'caller'>,
    snapshot: Snapshot,
    { epoch, index }: Pick<ProvenEntry, 'epoch'> & { index: number },
  ): Promise<Release<ProvenEntry>> => {
    const view = await epochs.view(epoch)
    const row = view && index < view.size ? (await readEntries(db.knex, epoch, index, index + 1))[0] : undefined
    if (!view || !row || !isVisible(row, caller, snapshot)) throw refuse('not_found')
    const hashes = await view.tree.inclusionProof(index, view.size)
    const proof = formatProof({ index, hashes, checkpoint: view.note })
    return reading({ epoch, row, proof }, { resource: { kind: 'entry', id: `${epoch}/${index}` } })
  }

/** @throws Refusal `impossible` for sizes that the log never had in this order */
function isVisible({ body }: EntryRow, caller: Caller, snapshot: Snapshot): boolean {
  if (!boundOf(caller)) return true
  if (body === null) return false
  const entry: LogEntry = JSON.parse(body)
  return isEntryWithin(entry, caller, snapshot)
}

export const proveGrowth =
  (parts: EpochParts) =>
  async ({
    from,
    to: end,
    ...query
  }: {
    epoch?: number
    from: number
    to?: number
  }): Promise<Release<ProvenGrowth>> => {
    const { epoch, size, tree, note } = await epochView(parts, query.epoch)
    const to = end ?? size
    if (from < 1) throw impossible('/query/from', 'nothing is proved from a log without entries')
    if (to > size) throw impossible('/query/to', 'the log is smaller')
    if (from > to) throw impossible('/query/from', 'a log never shrinks: the smaller size comes first')
    const growth = { epoch, from, to }
    return reading(
      { ...growth, consistency: await tree.consistencyProof(from, to), checkpoint: note },
      { resource: { kind: 'epoch', id: String(epoch) }, detail: { growth } },
    )
  }
