import { EMPTY_ROOT, nodeHash } from '@purser/sdk/verify'
import { TILE_HEIGHT, TILE_WIDTH } from './tiles.ts'

/**
 * The part of the tree that a process keeps in memory, immutable. `tails[l]` are the hashes of binary level l in the tile
 * that is not full yet. The last of them is the frontier of that level when the level has an odd number of hashes.
 */
export type TreeState = { size: number; tails: readonly (readonly Buffer[])[] }

export const EMPTY_TREE: TreeState = { size: 0, tails: [] }

/** A tile that became full. `hashes` are its 256 hashes, 8,192 bytes. `level` is a tile level, not a binary level. */
export type FullTile = { level: number; index: number; hashes: Buffer }

/** The result of appending leaves. */
export type Batch = {
  /** index of the first leaf */
  first: number
  /** size and root of the tree with the leaves */
  size: number
  root: Buffer
  /** The proof of a leaf of the batch in the tree of `size`, by its index in the log. Computes no hash. */
  inclusionProof: (index: number) => Buffer[]
  /** the tiles that the batch filled */
  fullTiles: FullTile[]
}

/** New hashes of one binary level, preceded by the frontier when the level had an odd number. It starts at an even index. */
type Row = { start: number; hashes: readonly Buffer[] }

/** The new state and batch, and the rows of each full tile: row r has the 256 / 2^r hashes that are r levels higher. */
type Grown = { state: TreeState; batch: Batch; filled: (FullTile & { rows: Buffer[][] })[] }

/**
 * Appends leaves to the tree, with about one hash for each leaf and each level.
 * @param leaves leaf hashes
 */
export function growTree(from: TreeState, leaves: readonly Buffer[]): Grown {
  const rows: Row[] = []
  const edges: (Buffer | undefined)[] = []
  let row = withFrontier(from, 0, leaves)
  let edge: Buffer | undefined
  for (let level = 0; row.start + row.hashes.length > 0; level++) {
    rows.push(row)
    edges.push(edge)
    // One hash covers everything to the right of the level's last pair: trees split to the left (RFC 6962 section 2.1).
    if ((row.start + row.hashes.length) % 2 === 1) {
      const last = element(row.hashes, row.hashes.length - 1)
      edge = edge ? nodeHash(last, edge) : last
    }
    row = withFrontier(from, level + 1, pairs(row.hashes))
  }
  const first = from.size
  const size = first + leaves.length
  const root = edge ?? EMPTY_ROOT
  const { tails, filled } = turnTiles(from, size, rows)
  const fullTiles = filled.map(({ level, index, hashes }) => ({ level, index, hashes }))
  const inclusionProof = (index: number) => {
    if (!(index - first in leaves))
      throw new RangeError(`the batch has leaves from ${first} to ${size}, none at ${index}`)
    return proofIn(rows, edges, index)
  }
  return { state: { size, tails }, batch: { first, size, root, inclusionProof, fullTiles }, filled }
}

function withFrontier({ size, tails }: TreeState, level: number, fresh: readonly Buffer[]): Row {
  const start = Math.floor(size / 2 ** level)
  if (start % 2 === 0) return { start, hashes: fresh }
  const tail = element(tails, level)
  return { start: start - 1, hashes: [element(tail, tail.length - 1), ...fresh] }
}

/** The parents of a row. The last hash of an odd row has no parent yet. */
export function pairs(hashes: readonly Buffer[]): Buffer[] {
  const parents: Buffer[] = []
  for (let i = 0; i + 1 < hashes.length; i += 2) parents.push(nodeHash(element(hashes, i), element(hashes, i + 1)))
  return parents
}

function proofIn(rows: readonly Row[], edges: readonly (Buffer | undefined)[], index: number): Buffer[] {
  const proof: Buffer[] = []
  let position = index
  rows.forEach(({ start, hashes }, level) => {
    const sibling = position % 2 === 0 ? position + 1 : position - 1
    const complete = hashes[sibling - start]
    const edge = edges[level]
    if (complete) proof.push(complete)
    else if (edge && sibling === start + hashes.length) proof.push(edge)
    position = Math.floor(position / 2)
  })
  return proof
}

/** Adds the new hashes to the tails, and removes full tiles from them. */
function turnTiles(
  from: TreeState,
  size: number,
  rows: readonly Row[],
): { tails: Buffer[][]; filled: Grown['filled'] } {
  const tails = rows.map(({ hashes }, level) => {
    const fresh = Math.floor(size / 2 ** level) - Math.floor(from.size / 2 ** level)
    return [...(from.tails[level] ?? []), ...hashes.slice(hashes.length - fresh)]
  })
  const filled: Grown['filled'] = []
  for (let bottom = 0; bottom < tails.length; bottom += TILE_HEIGHT) {
    const count = Math.floor(element(tails, bottom).length / TILE_WIDTH)
    if (count === 0) continue
    const level = bottom / TILE_HEIGHT
    const firstTile = Math.floor(from.size / 2 ** bottom / TILE_WIDTH)
    const heights = tails.slice(bottom, bottom + TILE_HEIGHT)
    for (let i = 0; i < count; i++) {
      const rows = heights.map((tail, r) => tail.slice((i * TILE_WIDTH) / 2 ** r, ((i + 1) * TILE_WIDTH) / 2 ** r))
      filled.push({ level, index: firstTile + i, hashes: Buffer.concat(element(rows, 0)), rows })
    }
    heights.forEach((tail, r) => (tails[bottom + r] = tail.slice((count * TILE_WIDTH) / 2 ** r)))
  }
  return { tails, filled }
}

/** Returns an element that must exist by the arithmetic of the tree. */
export function element<T>(list: readonly T[], index: number): T {
  const value = list[index]
  if (value === undefined) throw new Error(`the tree lacks its element ${index}`)
  return value
}
