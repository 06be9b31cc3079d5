/**
 * One process's view of the log: the tree in memory, moved forward after each acknowledged COMMIT, and the checkpoints
 * that it signs. Nothing here is written under the head lock.
 */
import { type NoteSigner, type Receipt, formatProof, leafHash, signCheckpoint } from '@purser/sdk/verify'
import { refuse } from '../errors.ts'
import type { Knex } from '../store/database.ts'
import { readLeaves, readTile, writeTiles } from '../store/log.ts'
import { type Batch, type Tree, restoreTree } from './tree.ts'

/** Where an entry stands, and what proves it. */
export type Position = {
  epoch: number
  index: number
  /** The signed head that covers the entry. */
  checkpoint: string
  inclusion: Buffer[]
  size: number
}

export type Log = {
  epoch(): number
  origin(): string
  size(): number
  /** The newest head that this process signed or read back. */
  checkpoint(): string
  /** Takes over entries whose COMMIT was acknowledged; reads those that others appended before them. */
  advance(epoch: number, first: number, commitments: Buffer[]): Promise<Position[]>
  /** Catches up with the database's head. */
  catchUp(epoch: number, size: number): Promise<void>
  consistency(from: number, to: number): Promise<Buffer[]>
  tree(): Tree
  /** True once the database was seen to go back behind what this process knows: nothing may be issued. */
  rolledBack(): boolean
}

type Parts = {
  knex: Knex
  epoch: number
  size: number
  trustDomain: string
  /** The log keys that sign a head of that size, newest last. */
  signers: (size: number) => NoteSigner[]
  onRollback?: (detail: string) => void
  onTileError?: (error: unknown) => void
}

export const originOf = (trustDomain: string, epoch: number): string => `${trustDomain}/log/${epoch}`

/** Restores the tree from tiles and trailing leaves and signs its head, which was read back from the database. */
export async function openLog(parts: Parts): Promise<Log> {
  const { knex, epoch } = parts
  const origin = originOf(parts.trustDomain, epoch)
  const leaves = async (from: number, to: number): Promise<Buffer[]> =>
    (await readLeaves(knex, epoch, from, to)).map((commitment) => leafHash(commitment))
  const tree = await restoreTree(parts.size, {
    readTile: (level, index) => readTile(knex, epoch, level, index),
    readLeaves: leaves,
  })
  let root = await tree.rootAt(tree.size)
  let checkpoint = signCheckpoint(origin, tree.size, root, parts.signers(tree.size))
  let rolledBack = false
  let turn: Promise<unknown> = Promise.resolve()
  let lastLeaf = tree.size > 0 ? (await leaves(tree.size - 1, tree.size))[0] : undefined

  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = turn.then(work)
    turn = result.catch(() => undefined)
    return result
  }

  function fail(detail: string): never {
    rolledBack = true
    parts.onRollback?.(detail)
    throw refuse('issuing_closed', { explanation: { detail } })
  }

  function add(hashes: Buffer[]): Batch {
    const added = tree.append(hashes)
    root = added.root
    lastLeaf = hashes.at(-1) ?? lastLeaf
    if (added.fullTiles.length > 0)
      writeTiles(knex, epoch, added.fullTiles).catch((error) => parts.onTileError?.(error))
    return added
  }

  /** Others appended: read what is new, and hold the newest entry that we know against the database's. */
  async function readUpTo(size: number): Promise<void> {
    const known = tree.size
    if (size < known) fail(`the database's log has ${size} entries, this process has seen ${known}`)
    if (size === known) return
    const from = Math.max(known - 1, 0)
    const read = await leaves(from, size)
    if (known > 0) {
      const before = read.shift()
      if (!before || !lastLeaf || !before.equals(lastLeaf))
        fail(`entry ${known - 1} is not the one this process has seen`)
    }
    add(read)
  }

  function sign(): string {
    checkpoint = signCheckpoint(origin, tree.size, root, parts.signers(tree.size))
    return checkpoint
  }

  async function place(first: number, commitments: Buffer[]): Promise<Position[]> {
    if (tree.size > first) {
      // Another turn of this process read past them already: prove them under the head as it is.
      const note = checkpoint
      const size = tree.size
      if (first + commitments.length > size) fail(`entries from ${first} on are not where the database put them`)
      const at = (n: number): Promise<Buffer[]> => tree.inclusionProof(first + n, size)
      return Promise.all(
        commitments.map(async (_, n) => ({ epoch, index: first + n, checkpoint: note, inclusion: await at(n), size })),
      )
    }
    await readUpTo(first)
    const added = add(commitments.map((one) => leafHash(one)))
    const note = sign()
    return commitments.map((_, n) => ({
      epoch,
      index: first + n,
      checkpoint: note,
      inclusion: added.inclusionProof(first + n),
      size: tree.size,
    }))
  }

  return {
    epoch: () => epoch,
    origin: () => origin,
    size: () => tree.size,
    checkpoint: () => checkpoint,
    advance: (of, first, commitments) =>
      inTurn(async () => {
        if (of !== epoch) fail(`the log is in epoch ${of}, this process in ${epoch}`)
        return place(first, commitments)
      }),
    catchUp: (of, size) =>
      inTurn(async () => {
        if (of !== epoch) fail(`the log is in epoch ${of}, this process in ${epoch}`)
        if (size > tree.size) {
          await readUpTo(size)
          sign()
        }
      }),
    consistency: (from, to) => tree.consistencyProof(from, to),
    tree: () => tree,
    rolledBack: () => rolledBack,
  }
}

/** The receipt of one entry; with `sinceSize`, also the proof that the log only grew since then. */
export async function makeReceipt(
  log: Pick<Log, 'consistency'>,
  sealed: { body: string; nonce: Buffer },
  position: Position,
  sinceSize?: number,
): Promise<Receipt> {
  const grew = sinceSize !== undefined && sinceSize > 0 && sinceSize <= position.size
  return {
    epoch: position.epoch,
    index: position.index,
    entry: sealed.body,
    nonce: sealed.nonce.toString('base64'),
    proof: formatProof({ index: position.index, hashes: position.inclusion, checkpoint: position.checkpoint }),
    ...(grew && {
      consistency: (await log.consistency(sinceSize, position.size)).map((hash) => hash.toString('base64')),
    }),
  }
}
