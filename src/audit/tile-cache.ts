import { nodeHash } from '@purser/sdk/verify'
import { pairs } from './batch.ts'
import { HASH_BYTES, TILE_BYTES, TILE_HEIGHT, TILE_WIDTH } from './tiles.ts'

/** How a tree reads what is not in memory. Both functions read committed data, which never changes. */
export type TileReads = {
  /** The 8,192 bytes of a full tile, or undefined when it is not written yet: then it is computed from the level below. */
  readTile: (level: number, index: number) => Promise<Buffer | undefined>
  /** The leaf hashes of all entries [from, to) in order, at most 256 at a time. */
  readLeaves: (from: number, to: number) => Promise<Buffer[]>
}

/** The most recently used full tiles with their inner hashes, so that proofs over cached tiles compute few hashes. */
export type TileCache = {
  put: (level: number, index: number, rows: readonly (readonly Buffer[])[]) => void
  /** A hash in a full tile, `height` levels above its lowest (0 to 7), at offset `place` from the left. */
  hashAt: (level: number, index: number, height: number, place: number) => Promise<Buffer>
  /** The 8,192 bytes of a full tile. */
  bytes: (level: number, index: number) => Promise<Buffer>
  /** Hashes [from, to) of a tile level. They lie in one tile, which need not be full. */
  bottomRow: (level: number, from: number, to: number) => Promise<Buffer[]>
}

// A cached tile is one block of 510 hashes: its 256 lowest, then the 128 above them, and so on up to 2.
const BLOCK_HASHES = 2 * TILE_WIDTH - 2
const rowStart = (height: number) => 2 * TILE_WIDTH - (2 * TILE_WIDTH) / 2 ** height
// The number of tiles that are read concurrently to compute a tile of the level above.
const READ_AHEAD = 16

export function createTileCache({ readTile, readLeaves }: TileReads, capacity: number): TileCache {
  // A Map keeps the order of insertion. A used tile is inserted again, so the first one is the least recently used.
  const blocks = new Map<string, Promise<Buffer>>()

  function keep(key: string, block: Promise<Buffer>): Promise<Buffer> {
    blocks.delete(key)
    blocks.set(key, block)
    for (const oldest of blocks.keys()) {
      if (blocks.size <= capacity) break
      blocks.delete(oldest)
    }
    return block
  }

  function get(level: number, index: number): Promise<Buffer> {
    const key = `${level}/${index}`
    const cached = blocks.get(key)
    if (cached) return keep(key, cached)
    const block = load(level, index)
    // A failed read is not cached: those who wait get the failure, the next caller reads again.
    block.catch(() => blocks.get(key) === block && blocks.delete(key))
    return keep(key, block)
  }

  async function load(level: number, index: number): Promise<Buffer> {
    const bytes = await readTile(level, index)
    if (bytes && bytes.length !== TILE_BYTES) throw new Error(`tile ${level}/${index} has ${bytes.length} bytes`)
    return blockOf(bytes ? split(bytes) : await bottomRow(level, index * TILE_WIDTH, (index + 1) * TILE_WIDTH))
  }

  async function hashAt(level: number, index: number, height: number, place: number): Promise<Buffer> {
    const block = await get(level, index)
    const start = (rowStart(height) + place) * HASH_BYTES
    return block.subarray(start, start + HASH_BYTES)
  }

  async function tileRoot(level: number, index: number): Promise<Buffer> {
    const top = TILE_HEIGHT - 1
    return nodeHash(await hashAt(level, index, top, 0), await hashAt(level, index, top, 1))
  }

  async function bottomRow(level: number, from: number, to: number): Promise<Buffer[]> {
    if (from === to) return []
    if (level === 0) {
      const leaves = await readLeaves(from, to)
      if (leaves.length !== to - from) throw new Error(`of the leaves from ${from} to ${to} there are ${leaves.length}`)
      return leaves
    }
    const row: Buffer[] = []
    for (let start = from; start < to; start += READ_AHEAD) {
      const indexes = Array.from({ length: Math.min(READ_AHEAD, to - start) }, (_, i) => start + i)
      row.push(...(await Promise.all(indexes.map((index) => tileRoot(level - 1, index)))))
    }
    return row
  }

  return {
    put: (level, index, rows) => void keep(`${level}/${index}`, Promise.resolve(Buffer.concat(rows.flat()))),
    hashAt,
    bytes: async (level, index) => (await get(level, index)).subarray(0, TILE_BYTES),
    bottomRow,
  }
}

function split(bytes: Buffer): Buffer[] {
  return Array.from({ length: TILE_WIDTH }, (_, i) => bytes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES))
}

function blockOf(bottom: readonly Buffer[]): Buffer {
  const block = [...bottom]
  for (let row = bottom; row.length > 2;) {
    row = pairs(row)
    block.push(...row)
  }
  return Buffer.concat(block, BLOCK_HASHES * HASH_BYTES)
}
