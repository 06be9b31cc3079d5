import { EXPORT_BLOCK } from './export-format.ts'
import { createFrontier } from './frontier.ts'
import { sameHash } from './merkle.ts'
import { joinSubtrees, subtreesOf, type Subtree } from './ranges.ts'

const BLOCK_LEVEL = Math.log2(EXPORT_BLOCK)

/** The hash of leaves [begin, end), which a signature confirms. */
export type Anchor = { begin: number; end: number; hash: Uint8Array }

export type SectionTree = ReturnType<typeof createSectionTree>

const keyOf = ({ level, index }: Subtree) => `${level}/${index}`

/**
 * The tree of an export's hashes, computed twice: from the leaf hashes, and from the roots of the blocks.
 * @param anchors the only arguments of `agrees`: only their subtrees stay in memory
 */
export function createSectionTree(anchors: readonly Anchor[]) {
  const subtreeHashes = new Map<string, Uint8Array | undefined>()
  for (const { begin, end } of anchors)
    for (const subtree of subtreesOf(begin, end)) subtreeHashes.set(keyOf(subtree), undefined)
  let blockRoot: Uint8Array | undefined
  let isLost = false
  const leafTree = createFrontier((level, index, hash) => {
    if (level === BLOCK_LEVEL) blockRoot = hash
    if (subtreeHashes.size > 0 && subtreeHashes.has(keyOf({ level, index })))
      subtreeHashes.set(keyOf({ level, index }), hash)
  })
  const blockTree = createFrontier()

  /** Appends leaves. @returns false if they are a whole block with another root than `root` */
  function addLeaves(leaves: readonly Buffer[], root?: Buffer): boolean {
    if (isLost) return true
    const whole = leaves.length === EXPORT_BLOCK && leafTree.size % EXPORT_BLOCK === 0
    for (const leaf of leaves) leafTree.push(0, leaf)
    if (whole && root) blockTree.push(BLOCK_LEVEL, root)
    else for (const leaf of leaves) blockTree.push(0, leaf)
    return !whole || !root || !blockRoot || sameHash(root, blockRoot)
  }

  return {
    /** Appends complete subtrees left or right of the section. */
    addOutside(subtrees: readonly Subtree[], hashes: readonly Buffer[]): void {
      if (subtrees.length !== hashes.length) isLost = true
      if (isLost) return
      subtrees.forEach(({ level }, i) => {
        const hash = hashes[i]
        if (!hash) return
        leafTree.push(level, hash)
        blockTree.push(level, hash)
      })
    },
    addLeaves,
    /** Notes that leaves are unknown, so that later leaves can't be joined to earlier ones. */
    lose: () => void (isLost = true),
    get lost() {
      return isLost
    },
    /** Whether the leaves lead to a root, and whether the blocks' roots do. */
    leavesLeadTo: (root: Uint8Array): boolean => !isLost && sameHash(leafTree.root(), root),
    blocksLeadTo: (root: Uint8Array): boolean => !isLost && sameHash(blockTree.root(), root),
    /** Whether the leaves lead to an anchor's hash; undefined if the export lacks hashes for it. */
    agrees({ begin, end, hash }: Anchor): boolean | undefined {
      const parts: Uint8Array[] = []
      for (const subtree of subtreesOf(begin, end)) {
        const part = subtreeHashes.get(keyOf(subtree))
        if (!part) return undefined
        parts.push(part)
      }
      return sameHash(joinSubtrees(parts), hash)
    },
  }
}
