import { EXPORT_BLOCK } from './export-format.ts'
import { createFrontier } from './frontier.ts'
import type { Anchor } from './kept.ts'
import { sameHash } from './merkle.ts'
import { joinSubtrees, subtreesOf, type Subtree } from './ranges.ts'

const BLOCK_LEVEL = Math.log2(EXPORT_BLOCK)

/** The tree that an export's hashes lead to, built twice: from the leaf hashes, and from the roots given for blocks. */
export type SectionTree = {
  /** Appends complete subtrees: what is left or right of the section. */
  addOutside: (subtrees: readonly Subtree[], hashes: readonly Buffer[]) => void
  /** Appends leaves. False when they are a whole block that does not have the root that was given for it. */
  addLeaves: (leaves: readonly Buffer[], root?: Buffer) => boolean
  /** Says that some leaves are unknown: nothing that comes after can be joined to what came before. */
  lose: () => void
  readonly lost: boolean
  /** Whether the leaves, and whether the blocks' roots, lead to a root. */
  leavesLeadTo: (root: Uint8Array) => boolean
  blocksLeadTo: (root: Uint8Array) => boolean
  /** Whether an anchor's hash is what the leaves give; undefined where the export doesn't tell. */
  agrees: (anchor: Anchor) => boolean | undefined
}

const keyOf = ({ level, index }: Subtree) => `${level}/${index}`

/** @param anchors what will be asked: only their subtrees are remembered */
export function createSectionTree(anchors: readonly Anchor[]): SectionTree {
  const wanted = new Map<string, Uint8Array | undefined>()
  for (const { begin, end } of anchors)
    for (const subtree of subtreesOf(begin, end)) wanted.set(keyOf(subtree), undefined)
  let blockRoot: Uint8Array | undefined
  let lost = false
  const leafTree = createFrontier((level, index, hash) => {
    if (level === BLOCK_LEVEL) blockRoot = hash
    if (wanted.size > 0 && wanted.has(keyOf({ level, index }))) wanted.set(keyOf({ level, index }), hash)
  })
  const blockTree = createFrontier()

  function addLeaves(leaves: readonly Buffer[], root?: Buffer): boolean {
    if (lost) return true
    const whole = leaves.length === EXPORT_BLOCK && leafTree.size % EXPORT_BLOCK === 0
    for (const leaf of leaves) leafTree.push(0, leaf)
    if (whole && root) blockTree.push(BLOCK_LEVEL, root)
    else for (const leaf of leaves) blockTree.push(0, leaf)
    return !whole || !root || !blockRoot || sameHash(root, blockRoot)
  }

  return {
    addOutside(subtrees, hashes) {
      if (subtrees.length !== hashes.length) lost = true
      if (lost) return
      subtrees.forEach(({ level }, i) => {
        const hash = hashes[i]
        if (!hash) return
        leafTree.push(level, hash)
        blockTree.push(level, hash)
      })
    },
    addLeaves,
    lose: () => void (lost = true),
    get lost() {
      return lost
    },
    leavesLeadTo: (root) => !lost && sameHash(leafTree.root(), root),
    blocksLeadTo: (root) => !lost && sameHash(blockTree.root(), root),
    agrees({ begin, end, hash }) {
      const parts: Uint8Array[] = []
      for (const subtree of subtreesOf(begin, end)) {
        const part = wanted.get(keyOf(subtree))
        if (!part) return undefined
        parts.push(part)
      }
      return sameHash(joinSubtrees(parts), hash)
    },
  }
}
