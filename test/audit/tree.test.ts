import { isDeepStrictEqual } from 'node:util'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { consistencyProofOf, inclusionProofOf, rootOf, subtreesOf } from '@purser/sdk/verify'
import { createTree, restoreTree, type FullTile, type Tree, type TileReads } from '../../src/audit/tree.ts'
import { naivePath, naiveProof, naiveRoot, numberedLeaves } from '../sdk/verify/naive.ts'

const leaves = numberedLeaves(70_000)
const rootAt = (size: number) => rootOf(leaves.slice(0, size))

/** A database in memory: leaves, and the full tiles that were written. */
function keep(options: { withoutTile?: (tile: FullTile) => boolean } = {}) {
  const tiles = new Map<string, Buffer>()
  const counts = { tiles: 0, leaves: 0 }
  const reads: TileReads = {
    readTile: (level, index) => {
      counts.tiles += 1
      return Promise.resolve(tiles.get(`${level}/${index}`))
    },
    readLeaves: (from, to) => {
      counts.leaves += to - from
      return Promise.resolve(leaves.slice(from, to))
    },
  }
  const write = (full: readonly FullTile[]) => {
    for (const tile of full) {
      if (!options.withoutTile?.(tile)) tiles.set(`${tile.level}/${tile.index}`, tile.hashes)
    }
  }
  return { reads, write, tiles, counts }
}

function grow(tree: Tree, to: number, step: number, write: (tiles: FullTile[]) => void = () => undefined) {
  while (tree.size < to) write(tree.append(leaves.slice(tree.size, Math.min(to, tree.size + step))).fullTiles)
  return tree
}

describe('append', () => {
  it('gives the root and every proof of RFC 6962 for each way to reach each size up to 130', () => {
    let checked = 0
    for (let before = 0; before <= 64; before++) {
      for (const count of [1, 2, 3, 7, 64, 66]) {
        const tree = grow(createTree(keep().reads), before, 5)
        const batch = tree.append(leaves.slice(before, before + count))
        const all = leaves.slice(0, before + count)
        expect(batch).toMatchObject({ first: before, size: before + count, fullTiles: [] })
        expect(batch.root.equals(naiveRoot(all))).toBe(true)
        for (let index = before; index < before + count; index += count > 7 ? 13 : 1) {
          expect(isDeepStrictEqual(batch.inclusionProof(index), naivePath(index, all))).toBe(true)
          checked += 1
        }
      }
    }
    expect(checked).toBeGreaterThan(1000)
  })

  it('gives no proof for a leaf outside the batch', () => {
    const tree = grow(createTree(keep().reads), 10, 10)
    const batch = tree.append(leaves.slice(10, 20))
    for (const index of [9, 20, -1, 10.5]) expect(() => batch.inclusionProof(index)).toThrow(RangeError)
  })

  it('appends an empty batch without effect', () => {
    const tree = grow(createTree(keep().reads), 9, 4)
    expect(tree.append([])).toMatchObject({ first: 9, size: 9, root: rootAt(9), fullTiles: [] })
    expect(createTree(keep().reads).append([])).toMatchObject({ first: 0, size: 0, root: rootOf([]) })
  })

  it('returns each full tile once, however the batches are split', () => {
    for (const step of [1, 100, 255, 256, 257, 1000, 66_000]) {
      const tileNames: string[] = []
      const tree = createTree(keep().reads)
      grow(tree, step === 1 ? 600 : 66_000, step, (tiles) => {
        for (const { level, index, hashes } of tiles) {
          tileNames.push(`${level}/${index}`)
          expect(hashes).toHaveLength(8192)
          const width = 256 ** level
          const places = level === 0 ? [0, 17, 255] : [0]
          for (const place of places) {
            const begin = (index * 256 + place) * width
            const expected = rootOf(leaves.slice(begin, begin + width))
            expect(hashes.subarray(place * 32, place * 32 + 32).equals(expected)).toBe(true)
          }
        }
      })
      const bottom = Math.floor(tree.size / 256)
      const expected = Array.from({ length: bottom }, (_, i) => `0/${i}`)
      expect(tileNames.filter((path) => path.startsWith('0/'))).toEqual(expected)
      expect(tileNames.filter((path) => path.startsWith('1/'))).toEqual(bottom >= 256 ? ['1/0'] : [])
    }
  })
})

describe('proofs of any size', () => {
  it('are those of RFC 6962 for every size up to 130', async () => {
    const tree = grow(createTree(keep().reads), 130, 7)
    for (let size = 1; size <= 130; size += 3) {
      const all = leaves.slice(0, size)
      expect((await tree.rootAt(size)).equals(naiveRoot(all))).toBe(true)
      for (let index = 0; index < size; index += 7) {
        expect(isDeepStrictEqual(await tree.inclusionProof(index, size), naivePath(index, all))).toBe(true)
        expect(isDeepStrictEqual(await tree.consistencyProof(index + 1, size), naiveProof(index + 1, all))).toBe(true)
      }
    }
  })

  it('are correct across tiles and levels, with tiles that were never written and a small cache', async () => {
    const stored = keep({ withoutTile: ({ level, index }) => level === 1 || index % 3 === 0 })
    const tree = grow(createTree(stored.reads, { cachedTiles: 20 }), 66_000, 3000, stored.write)
    for (const [index, size] of [
      [0, 66_000],
      [65_999, 66_000],
      [300, 65_537],
    ] as const) {
      expect(await tree.inclusionProof(index, size)).toEqual(inclusionProofOf(leaves, index, size))
      expect(await tree.consistencyProof(index + 1, size)).toEqual(consistencyProofOf(leaves, index + 1, size))
    }
  })

  it('read O(log n) tiles and no leaves once tiles are written, and nothing when they are in memory', async () => {
    const stored = keep()
    const grownTree = grow(createTree(stored.reads), 66_000, 3000, stored.write)
    await grownTree.consistencyProof(12_345, 65_999)
    expect(stored.counts).toEqual({ tiles: 0, leaves: 0 })
    const tree = await restoreTree(66_000, stored.reads, { cachedTiles: 1 })
    stored.counts.tiles = 0
    stored.counts.leaves = 0
    await tree.inclusionProof(12_345, 66_000)
    expect(stored.counts.tiles).toBeLessThanOrEqual(4)
    expect(stored.counts.leaves).toBe(0)
  })

  it('are refused for sizes and indexes that the tree does not have', async () => {
    const tree = grow(createTree(keep().reads), 20, 20)
    for (const work of [
      () => tree.rootAt(21),
      () => tree.rootAt(-1),
      () => tree.rootAt(1.5),
      () => tree.inclusionProof(0, 21),
      () => tree.inclusionProof(20, 20),
      () => tree.inclusionProof(-1, 20),
      () => tree.inclusionProof(0, 0),
      () => tree.consistencyProof(0, 20),
      () => tree.consistencyProof(5, 4),
      () => tree.consistencyProof(5, 21),
      () => tree.outside(5, 4, 20),
      () => tree.outside(0, 5, 21),
      () => tree.blockRoot(0),
    ]) {
      await expect(work()).rejects.toThrow(RangeError)
    }
  })

  it('of the range outside are its subtrees', async () => {
    const stored = keep()
    const tree = grow(createTree(stored.reads), 1000, 300, stored.write)
    const { left, right } = await tree.outside(300, 777, 999)
    const expected = (begin: number, end: number) =>
      subtreesOf(begin, end).map(({ level, index }) =>
        rootOf(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level)),
      )
    expect(left).toEqual(expected(0, 300))
    expect(right).toEqual(expected(777, 999))
    expect((await tree.blockRoot(2)).equals(rootOf(leaves.slice(512, 768)))).toBe(true)
  })
})

describe('restoreTree', () => {
  it('continues after another process, at any size', async () => {
    const stored = keep({ withoutTile: ({ index }) => index === 1 })
    const tree = createTree(stored.reads)
    for (const size of [0, 1, 2, 255, 256, 257, 511, 512, 600, 65_535, 65_536, 65_537, 66_000]) {
      grow(tree, size, 5000, stored.write)
      const restored = await restoreTree(size, stored.reads)
      expect(restored.size).toBe(size)
      expect((await restored.rootAt(size)).equals(rootAt(size))).toBe(true)
      const added = leaves.slice(size, size + 300)
      const batch = restored.append(added)
      expect(batch.root.equals(rootAt(size + 300))).toBe(true)
      expect(batch.inclusionProof(size + 1)).toEqual(inclusionProofOf(leaves, size + 1, size + 300))
    }
  })

  it('fails when leaves or bytes of a tile are missing, and works when they are back', async () => {
    const stored = keep()
    grow(createTree(stored.reads), 600, 600, stored.write)
    const short = { ...stored.reads, readLeaves: () => Promise.resolve(leaves.slice(0, 3)) }
    await expect(restoreTree(600, short)).rejects.toThrow('there are 3')
    let bytes = 8191
    const cut = { ...stored.reads, readTile: () => Promise.resolve(stored.tiles.get('0/0')?.subarray(0, bytes)) }
    await expect(restoreTree(300, cut)).rejects.toThrow('8191 bytes')
    bytes = 8192
    const tree = await restoreTree(300, cut)
    expect((await tree.rootAt(300)).equals(rootAt(300))).toBe(true)
  })

  it('does not cache a failed read', async () => {
    const stored = keep()
    grow(createTree(stored.reads), 700, 700, stored.write)
    let down = false
    const flaky: TileReads = {
      ...stored.reads,
      readTile: (level, index) => (down ? Promise.reject(new Error('down')) : stored.reads.readTile(level, index)),
    }
    const tree = await restoreTree(700, flaky, { cachedTiles: 1 })
    down = true
    await expect(tree.inclusionProof(3, 700)).rejects.toThrow('down')
    down = false
    expect(await tree.inclusionProof(3, 700)).toEqual(inclusionProofOf(leaves, 3, 700))
  })
})

describe('tile', () => {
  it('yields full and partial tiles at every level, and nothing beyond the tree', async () => {
    const stored = keep()
    const tree = grow(createTree(stored.reads), 66_000, 10_000, stored.write)
    const bottom = (from: number, to: number) => Buffer.concat(leaves.slice(from, to))
    expect(await tree.tile(0, 3, 256)).toEqual(bottom(768, 1024))
    expect(await tree.tile(0, 3, 7)).toEqual(bottom(768, 775))
    expect(await tree.tile(0, 257, 208)).toEqual(bottom(65_792, 66_000))
    expect(await tree.tile(0, 257, 1)).toEqual(bottom(65_792, 65_793))
    expect(await tree.tile(2, 0, 1)).toEqual(rootAt(65_536))
    expect((await tree.tile(1, 1, 1))?.equals(rootOf(leaves.slice(65_536, 65_792)))).toBe(true)
    for (const [level, index, width] of [
      [0, 257, 209],
      [0, 258, 1],
      [0, 3, 0],
      [0, 3, 257],
      [1, 1, 2],
      [2, 0, 2],
      [3, 0, 1],
      [63, 0, 1],
    ] as const) {
      expect(await tree.tile(level, index, width)).toBeUndefined()
    }
  })
})

it('any two ways to the same size, with proofs read in between, agree', async () => {
  const steps = fc.array(fc.integer({ min: 0, max: 700 }), { minLength: 1, maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(steps, fc.nat(), fc.nat(), fc.nat(3), async (counts, a, b, cachedTiles) => {
      const stored = keep({ withoutTile: ({ index }) => index % 2 === 1 })
      const tree = createTree(stored.reads, { cachedTiles })
      for (const count of counts) stored.write(tree.append(leaves.slice(tree.size, tree.size + count)).fullTiles)
      if (tree.size === 0) return
      const size = 1 + (a % tree.size)
      const index = b % size
      expect(await tree.inclusionProof(index, size)).toEqual(inclusionProofOf(leaves, index, size))
      expect(await tree.consistencyProof(index + 1, size)).toEqual(consistencyProofOf(leaves, index + 1, size))
    }),
    { numRuns: 60 },
  )
})
