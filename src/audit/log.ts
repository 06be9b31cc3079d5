/**
 * The log as one process sees it: the tree in memory, which grows after each acknowledged COMMIT, and the checkpoints that
 * the process signs. Writes nothing under the head lock.
 */
import { type NoteSigner, type Receipt, formatProof, leafHash, signCheckpoint } from '@purser/sdk/verify'
import { refuse } from '../errors.ts'
import type { Knex } from '../store/database.ts'
import { type LeafRange, writeTiles } from '../store/log.ts'
import { type Doubt, rollback } from './doubt.ts'
import { readLeafHashes, readTree } from './read-tree.ts'
import { HASH_BYTES, TILE_WIDTH } from './tiles.ts'
import type { Batch, Tree } from './tree.ts'

/** The position of an entry in the log, with its proof. */
export type Position = {
  epoch: number
  index: number
  /** The signed head that covers the entry. */
  checkpoint: string
  inclusion: Buffer[]
  size: number
}

type SignedHead = { size: number; note: string }

export type Log = {
  epoch(): number
  origin(): string
  size(): number
  /**
   * The newest head that this process signed.
   * @throws Refusal `issuing_closed` while no head may be signed: replicas must not serve contradicting heads
   */
  head(): SignedHead
  /** The newest signed head in any state of the log, as evidence. */
  signed(): SignedHead | undefined
  checkpoint(): string
  /**
   * Adds entries whose COMMIT was acknowledged to the tree, after those that other processes appended before.
   * @param missed what the append returned of those; the rest is read
   */
  advance(epoch: number, first: number, commitments: Buffer[], missed?: LeafRange): Promise<Position[]>
  consistency(from: number, to: number): Promise<Buffer[]>
  tree(): Tree
  /**
   * Reads up to the database's head and compares the tree with external evidence. Nothing is signed or issued before the
   * first check without a doubt.
   * @param size the size in the head row, read after the evidence that `check` uses
   */
  confirm(epoch: number, size: number, check: (tree: Tree) => Promise<Doubt | undefined>): Promise<void>
  /** Why nothing may be issued; undefined while issuing is allowed. */
  doubt(): Doubt | undefined
  /** True while there is a doubt. */
  rolledBack(): boolean
}

type Parts = {
  knex: Knex
  epoch: number
  size: number
  trustDomain: string
  /** The log keys that sign a head of this size, newest last. */
  signers: (size: number) => NoteSigner[]
  onClosed?: (doubt: Doubt) => void
  onTileError?: (error: unknown) => void
}

export const originOf = (trustDomain: string, epoch: number): string => `${trustDomain}/log/${epoch}`

/** Restores the tree from tiles and trailing leaves. The log stays closed until `confirm`. */
export async function openLog(parts: Parts): Promise<Log> {
  const { knex, epoch } = parts
  const origin = originOf(parts.trustDomain, epoch)
  const leaves = (from: number, to: number): Promise<Buffer[]> => readLeafHashes(knex, epoch, from, to)
  const tree = await readTree(knex, epoch, parts.size)
  let root = await tree.rootAt(tree.size)
  let head: SignedHead | undefined
  let doubt: Doubt | undefined = { kind: 'unread', detail: 'no head was read yet', permanent: false }
  let turn: Promise<unknown> = Promise.resolve()
  let lastLeaf = tree.size > 0 ? (await leaves(tree.size - 1, tree.size))[0] : undefined

  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = turn.then(work)
    turn = result.catch(() => undefined)
    return result
  }

  function close(next: Doubt): void {
    if (doubt?.detail !== next.detail) parts.onClosed?.(next)
    doubt = next
  }

  function fail(detail: string): never {
    close(rollback(detail))
    throw refuse('issuing_closed', { explanation: { detail } })
  }

  function requireEpoch(current: number): void {
    const detail = `the log is in epoch ${current}, this process in ${epoch}`
    if (current < epoch) fail(detail)
    if (current === epoch) return
    close({ kind: 'epoch', detail, permanent: true })
    throw refuse('issuing_closed', { explanation: { detail } })
  }

  function requireOpen(): void {
    if (doubt) throw refuse('issuing_closed', { explanation: { detail: doubt.detail } })
  }

  function add(hashes: Buffer[]): Batch {
    const added = tree.append(hashes)
    root = added.root
    lastLeaf = hashes.at(-1) ?? lastLeaf
    if (added.fullTiles.length > 0)
      writeTiles(knex, epoch, added.fullTiles).catch((error) => parts.onTileError?.(error))
    return added
  }

  /** Reads entries of other processes, and compares our newest entry with the one in the database. */
  async function readUpTo(size: number, missed?: LeafRange): Promise<void> {
    const ownSize = tree.size
    if (size < ownSize) fail(`the database's log has ${size} entries, this process has seen ${ownSize}`)
    if (size === ownSize) return
    const from = Math.max(ownSize - 1, 0)
    const covers = missed && missed.from <= from && missed.from + missed.leaves.length === size
    const hashes = covers
      ? missed.leaves.slice(from - missed.from).map((commitment) => leafHash(commitment))
      : await leaves(from, size)
    if (ownSize > 0) {
      const previous = hashes.shift()
      if (!previous || !lastLeaf || !previous.equals(lastLeaf))
        fail(`entry ${ownSize - 1} is not the one this process has seen`)
    }
    add(hashes)
  }

  function sign(): string {
    head = { size: tree.size, note: signCheckpoint(origin, tree.size, root, parts.signers(tree.size)) }
    return head.note
  }

  function newest(): SignedHead {
    requireOpen()
    if (!head) throw refuse('issuing_closed')
    return head
  }

  /** Whether the tree has exactly these entries there. In a restored database another entry may have the index. */
  async function hasEntries(first: number, commitments: Buffer[]): Promise<boolean> {
    for (const [n, bytes] of commitments.entries()) {
      const index = first + n
      const hashes = await tree.tile(0, Math.floor(index / TILE_WIDTH), (index % TILE_WIDTH) + 1)
      if (!hashes?.subarray(-HASH_BYTES).equals(leafHash(bytes))) return false
    }
    return true
  }

  async function place(first: number, commitments: Buffer[], missed?: LeafRange): Promise<Position[]> {
    if (tree.size > first) {
      // An earlier turn of this process has read these entries, and may have failed before it signed.
      if (!head || head.size < tree.size) sign()
      const { note, size } = newest()
      if (first + commitments.length > size || !(await hasEntries(first, commitments)))
        fail(`entries from ${first} on are not those that this process has seen there`)
      const at = (n: number): Promise<Buffer[]> => tree.inclusionProof(first + n, size)
      return Promise.all(
        commitments.map(async (_, n) => ({ epoch, index: first + n, checkpoint: note, inclusion: await at(n), size })),
      )
    }
    await readUpTo(first, missed)
    const added = add(commitments.map((commitment) => leafHash(commitment)))
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
    head: newest,
    checkpoint: () => newest().note,
    advance: (current, first, commitments, missed) =>
      inTurn(async () => {
        requireOpen()
        requireEpoch(current)
        return place(first, commitments, missed)
      }),
    confirm: (current, size, check) =>
      inTurn(async () => {
        if (doubt?.permanent) return
        requireEpoch(current)
        if (size > tree.size) await readUpTo(size)
        const next = await check(tree)
        if (next) return close(next)
        doubt = undefined
        if (!head || head.size < tree.size) sign()
      }),
    consistency: (from, to) => tree.consistencyProof(from, to),
    tree: () => tree,
    signed: () => head,
    doubt: () => doubt,
    rolledBack: () => doubt !== undefined,
  }
}

/** The head that a caller has verified before; of the present epoch by default. */
export type Since = { sinceSize: number; epoch?: number }

/** The receipt of an entry. With a head of the same epoch it includes a consistency proof. */
export async function makeReceipt(
  log: Pick<Log, 'consistency'>,
  sealed: { body: string; nonce: Buffer },
  position: Position,
  { sinceSize, epoch = position.epoch }: Since = { sinceSize: 0 },
): Promise<Receipt> {
  const hasGrown = epoch === position.epoch && sinceSize > 0 && sinceSize <= position.size
  return {
    epoch: position.epoch,
    index: position.index,
    entry: sealed.body,
    nonce: sealed.nonce.toString('base64'),
    proof: formatProof({ index: position.index, hashes: position.inclusion, checkpoint: position.checkpoint }),
    ...(hasGrown && {
      consistency: (await log.consistency(sinceSize, position.size)).map((hash) => hash.toString('base64')),
    }),
  }
}
