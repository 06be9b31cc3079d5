/** Reads any epoch of the log: the present one in its current state, an older one in its last state. */
import { parseCheckpoint, parseNote } from '@purser/sdk/verify'
import type { Knex } from '../store/database.ts'
import { readLastNote } from '../store/epochs.ts'
import { type Log, originOf } from './log.ts'
import { readTree } from './read-tree.ts'
import type { Tree } from './tree.ts'

/** An epoch and its newest signed head. The tree may have grown beyond `size`; `note` covers only the first `size` entries. */
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
   * Returns undefined when there is no such epoch.
   * @throws Refusal `issuing_closed` for the present epoch, while no head may be signed
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
      const opened = ended.get(epoch) ?? open(epoch)
      ended.set(epoch, opened)
      opened.catch(() => ended.delete(epoch))
      return opened
    },
  }
}
