import { consistencyRanges, inclusionRanges, joinSubtrees, subtreesOf, type Range } from '@purser/sdk/verify'
import { element, EMPTY_TREE, growTree, type Batch, type TreeState } from './batch.ts'
import { createTileCache, type TileCache, type TileReads } from './tile-cache.ts'
import { HASH_BYTES, TILE_HEIGHT, TILE_WIDTH } from './tiles.ts'

export type { Batch, FullTile } from './batch.ts'
export type { TileReads } from './tile-cache.ts'

/**
 * The tree of one epoch in one process, over durable entries. Its promises reject with errors of the reads, and with
 * RangeError for sizes and indexes outside of the tree.
 */
export type Tree = {
  readonly size: number
  /** @param leaves leaf hashes of the entries from `size` on */
  append: (leaves: readonly Buffer[]) => Batch
  /** Any size from 0 to the tree's. */
  rootAt: (size: number) => Promise<Buffer>
  inclusionProof: (index: number, size: number) => Promise<Buffer[]>
  /** For 1 <= from <= to <= the tree's size. */
  consistencyProof: (from: number, to: number) => Promise<Buffer[]>
  /** The subtrees to the left and right of entries [from, to) in the tree of `size`, for an export of these entries. */
  outside: (from: number, to: number, size: number) => Promise<{ left: Buffer[]; right: Buffer[] }>
  /** The root of a full block of 256 entries. */
  blockRoot: (index: number) => Promise<Buffer>
  /** The first `width` hashes of a tile (1 to 256), or undefined when the tree has fewer. `level` is a tile level. */
  tile: (level: number, index: number, width: number) => Promise<Buffer | undefined>
}

type Options = {
  /** the number of full tiles in memory, 16 kB each; 1,024 by default */
  cachedTiles?: number
}

/** A tree without leaves. */
export function createTree(reads: TileReads, { cachedTiles = 1024 }: Options = {}): Tree {
  return treeFrom(EMPTY_TREE, createTileCache(reads, cachedTiles))
}

/** The tree of the first `size` leaves, restored from tiles and the trailing leaves. */
export async function restoreTree(size: number, reads: TileReads, { cachedTiles = 1024 }: Options = {}): Promise<Tree> {
  const cache = createTileCache(reads, cachedTiles)
  const tails: (readonly Buffer[])[] = []
  for (let level = 0; size >= 2 ** (level * TILE_HEIGHT); level++) {
    const count = Math.floor(size / 2 ** (level * TILE_HEIGHT))
    const row = await cache.bottomRow(level, count - (count % TILE_WIDTH), count)
    const { state } = growTree(EMPTY_TREE, row)
    for (let height = 0; height < TILE_HEIGHT; height++) tails.push(state.tails[height] ?? [])
  }
  return treeFrom({ size, tails }, cache)
}

function treeFrom(initial: TreeState, cache: TileCache): Tree {
  let state = initial

  function append(leaves: readonly Buffer[]): Batch {
    const growth = growTree(state, leaves)
    state = growth.state
    for (const { level, index, rows } of growth.filled) cache.put(level, index, rows)
    return growth.batch
  }

  /** The hash of a complete subtree; `level` is a binary level. */
  async function node(level: number, index: number): Promise<Buffer> {
    const tail = state.tails[level] ?? []
    const tailStart = Math.floor(state.size / 2 ** level) - tail.length
    if (index >= tailStart) return element(tail, index - tailStart)
    const height = level % TILE_HEIGHT
    const width = TILE_WIDTH / 2 ** height
    return cache.hashAt((level - height) / TILE_HEIGHT, Math.floor(index / width), height, index % width)
  }

  async function nodesOf(begin: number, end: number): Promise<Buffer[]> {
    const nodes: Buffer[] = []
    for (const { level, index } of subtreesOf(begin, end)) nodes.push(await node(level, index))
    return nodes
  }

  async function rangeHashes(ranges: readonly Range[]): Promise<Buffer[]> {
    const hashes: Buffer[] = []
    for (const [begin, end] of ranges) hashes.push(joinSubtrees(await nodesOf(begin, end)))
    return hashes
  }

  function requireSize(size: number, min: number): void {
    if (!Number.isSafeInteger(size) || size < min || size > state.size) {
      throw new RangeError(`no size from ${min} to the tree's ${state.size}: ${size}`)
    }
  }

  async function tile(level: number, index: number, width: number): Promise<Buffer | undefined> {
    const count = Math.floor(state.size / 2 ** (level * TILE_HEIGHT))
    if (width < 1 || width > TILE_WIDTH || index * TILE_WIDTH + width > count) return undefined
    const tail = state.tails[level * TILE_HEIGHT] ?? []
    const bytes = index * TILE_WIDTH < count - tail.length ? await cache.bytes(level, index) : Buffer.concat(tail)
    return bytes.subarray(0, width * HASH_BYTES)
  }

  return {
    get size() {
      return state.size
    },
    append,
    rootAt: async (size) => {
      requireSize(size, 0)
      return element(await rangeHashes([[0, size]]), 0)
    },
    inclusionProof: async (index, size) => {
      requireSize(size, 1)
      requireSize(index + 1, 1)
      if (index >= size) throw new RangeError(`index ${index} is outside a tree of ${size}`)
      return rangeHashes(inclusionRanges(index, size))
    },
    consistencyProof: async (from, to) => {
      requireSize(to, 1)
      requireSize(from, 1)
      if (from > to) throw new RangeError(`no consistency proof from size ${from} to ${to}`)
      return rangeHashes(consistencyRanges(from, to))
    },
    outside: async (from, to, size) => {
      requireSize(size, 0)
      if (!(from >= 0 && from <= to && to <= size)) throw new RangeError(`no entries from ${from} to ${to} in ${size}`)
      return { left: await nodesOf(0, from), right: await nodesOf(to, size) }
    },
    blockRoot: async (index) => {
      requireSize((index + 1) * TILE_WIDTH, TILE_WIDTH)
      return node(TILE_HEIGHT, index)
    },
    tile,
  }
}
