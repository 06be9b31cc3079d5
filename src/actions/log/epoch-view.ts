import type { EntryPart } from '../../audit/entry.ts'
import type { EpochView, Epochs } from '../../audit/epochs.ts'
import type { Log } from '../../audit/log.ts'
import type { Release } from '../../audit/record.ts'
import { impossible } from '../registrations.ts'

export type EpochParts = { log: Pick<Log, 'epoch'>; epochs: Epochs }

/** @param epoch by default the present one. @throws Refusal `impossible` for an epoch that does not exist */
export async function epochView({ log, epochs }: EpochParts, epoch: number = log.epoch()): Promise<EpochView> {
  const view = await epochs.view(epoch)
  if (!view) throw impossible('/query/epoch', 'there is no such epoch')
  return view
}

/** Reading the log is released in any state of it, as long as the caller may still read when the entry is appended. */
export const reading = <R>(result: R, entry: EntryPart): Release<R> => ({
  result,
  entry,
  whileClosed: true,
  holds: () => true,
})
