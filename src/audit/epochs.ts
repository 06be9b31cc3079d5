/** Every epoch of the log, to be read: the present one as it stands now, an older one as it ended. */
import { parseCheckpoint, parseNote } from '@purser/sdk/verify'
import type { Knex } from '../store/database.ts'
import { readLastNote } from '../store/epochs.ts'
import { type Log, originOf } from './log.ts'
import { readTree } from './read-tree.ts'
import type { Tree } from './tree.ts'

/** A log and its newest head. The tree may have grown past `size` meanwhile; nothing beyond it is covered by `note`. */
export type EpochView = {
  epoch: number
  origin: string
  size: number
  /** The signed head over the first `size` entries. */
  note: string
  tree: Omit<Tree, 'append'>
}

export type Epochs = {
  /**
   * Nothing where there is no such epoch.
   * @throws Refusal `issuing_closed` for the present one, while its head may not be signed
   */
  view(epoch: number): Promise<EpochView | undefined>
}

type Parts = {
  knex: Knex
  trustDomain: string
  log: Pick<Log, 'epoch' | 'origin' | 'head' | 'tree'>
}

export function createEpochs({ knex, trustDomain, log }: Parts): Epochs {
  const ended = new Map<number, Promise<EpochView | undefined>>()

  async function open(epoch: number): Promise<EpochView | undefined> {
    const note = await readLastNote(knex, epoch)
    if (note === undefined) return undefined
    const { size } = parseCheckpoint(parseNote(note).text)
    const tree = await readTree(knex, epoch, size)
    return { epoch, origin: originOf(trustDomain, epoch), size, note, tree }
  }

  return {
    async view(epoch) {
      if (epoch === log.epoch()) return { epoch, origin: log.origin(), ...log.head(), tree: log.tree() }
      if (epoch > log.epoch()) return undefined
      const kept = ended.get(epoch) ?? open(epoch)
      ended.set(epoch, kept)
      kept.catch(() => ended.delete(epoch))
      return kept
    },
  }
}
