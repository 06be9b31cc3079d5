/**
 * One process's view of the log: the tree in memory, moved forward after each acknowledged COMMIT, and the checkpoints
 * that it signs. Nothing here is written under the head lock.
 */
import { type NoteSigner, type Receipt, formatProof, leafHash, signCheckpoint } from '@purser/sdk/verify'
import { refuse } from '../errors.ts'
import type { Knex } from '../store/database.ts'
import { readLeaves, readTile, writeTiles } from '../store/log.ts'
import { type Doubt, rollback } from './doubt.ts'
import { HASH_BYTES, TILE_WIDTH } from './tiles.ts'
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

type SignedHead = { size: number; note: string }

export type Log = {
  epoch(): number
  origin(): string
  size(): number
  /**
   * The newest head that this process signed, and the entries that it covers.
   * @throws Refusal `issuing_closed` while none may be signed: replicas must not serve heads that contradict each other
   */
  head(): SignedHead
  /** The same in any state of the log, as evidence. */
  signed(): SignedHead | undefined
  checkpoint(): string
  /** Takes over entries whose COMMIT was acknowledged; reads those that others appended before them. */
  advance(epoch: number, first: number, commitments: Buffer[]): Promise<Position[]>
  consistency(from: number, to: number): Promise<Buffer[]>
  tree(): Tree
  /**
   * Catches up with the database's head and holds the tree against what is known of it elsewhere. Nothing is signed or
   * issued before the first check that ends without a doubt.
   * @param size read from the database after whatever `check` compares with
   */
  confirm(epoch: number, size: number, check: (tree: Tree) => Promise<Doubt | undefined>): Promise<void>
  /** Why nothing may be issued; nothing while all is well. */
  doubt(): Doubt | undefined
  /** True while nothing may be issued: the database is not known to hold the newest log. */
  rolledBack(): boolean
}

type Parts = {
  knex: Knex
  epoch: number
  size: number
  trustDomain: string
  /** The log keys that sign a head of that size, newest last. */
  signers: (size: number) => NoteSigner[]
  onClosed?: (doubt: Doubt) => void
  onTileError?: (error: unknown) => void
}

export const originOf = (trustDomain: string, epoch: number): string => `${trustDomain}/log/${epoch}`

/** Restores the tree from tiles and trailing leaves. It is closed until `confirm`. */
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
    head = { size: tree.size, note: signCheckpoint(origin, tree.size, root, parts.signers(tree.size)) }
    return head.note
  }

  function newest(): SignedHead {
    requireOpen()
    if (!head) throw refuse('issuing_closed')
    return head
  }

  /** Whether the tree has these very entries there: in a database put back, another entry took the index. */
  async function holds(first: number, commitments: Buffer[]): Promise<boolean> {
    for (const [n, bytes] of commitments.entries()) {
      const index = first + n
      const hashes = await tree.tile(0, Math.floor(index / TILE_WIDTH), (index % TILE_WIDTH) + 1)
      if (!hashes?.subarray(-HASH_BYTES).equals(leafHash(bytes))) return false
    }
    return true
  }

  async function place(first: number, commitments: Buffer[]): Promise<Position[]> {
    if (tree.size > first) {
      // Another turn of this process read past them already, and may have broken off before it signed.
      if (!head || head.size < tree.size) sign()
      const { note, size } = newest()
      if (first + commitments.length > size || !(await holds(first, commitments)))
        fail(`entries from ${first} on are not those that this process has seen there`)
      const at = (n: number): Promise<Buffer[]> => tree.inclusionProof(first + n, size)
      return Promise.all(
        commitments.map(async (_, n) => ({ epoch, index: first + n, checkpoint: note, inclusion: await at(n), size })),
      )
    }
    await readUpTo(first)
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
    advance: (of, first, commitments) =>
      inTurn(async () => {
        requireOpen()
        requireEpoch(of)
        return place(first, commitments)
      }),
    confirm: (of, size, check) =>
      inTurn(async () => {
        if (doubt?.permanent) return
        requireEpoch(of)
        if (size > tree.size) await readUpTo(size)
        const found = await check(tree)
        if (found) return close(found)
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

/** A head that a caller holds; without an epoch, of the present one. */
export type Since = { sinceSize: number; epoch?: number }

/** The receipt of one entry; with a head of its epoch, also the proof that the log only grew since then. */
export async function makeReceipt(
  log: Pick<Log, 'consistency'>,
  sealed: { body: string; nonce: Buffer },
  position: Position,
  { sinceSize, epoch = position.epoch }: Since = { sinceSize: 0 },
): Promise<Receipt> {
  const grew = epoch === position.epoch && sinceSize > 0 && sinceSize <= position.size
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
