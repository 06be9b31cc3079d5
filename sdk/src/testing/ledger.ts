/** The log in memory: a Merkle tree with signed checkpoints and receipts, which clients verify as of the real log. */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { canonicalize } from '../verify/canonical.ts'
import { signCheckpoint } from '../verify/checkpoint.ts'
import { entryLeaf } from '../verify/commitment.ts'
import { nodeHash } from '../verify/merkle.ts'
import { formatProof } from '../verify/proof.ts'
import { type Range, consistencyRanges, inclusionRanges, joinSubtrees, subtreesOf } from '../verify/ranges.ts'
import type { Receipt } from '../verify/receipt.ts'
import { createNoteSigner } from '../verify/vkey.ts'

const epoch = 1

/** The leaves and all complete subtrees, so that a proof does not hash every leaf. */
function createTree() {
  const levels: Buffer[][] = [[]]
  const at = (level: number): Buffer[] => (levels[level] ??= [])
  const hashOf = (range: Range): Buffer =>
    joinSubtrees(subtreesOf(...range).map(({ level, index }) => at(level)[index] ?? Buffer.alloc(0)))

  return {
    size: (): number => at(0).length,
    hashOf,
    push(leaf: Buffer): void {
      at(0).push(leaf)
      for (let level = 0; at(level).length % 2 === 0; level++) {
        const [left, right] = at(level).slice(-2)
        if (left && right) at(level + 1).push(nodeHash(left, right))
      }
    },
    /** Removes the last leaf, with every subtree that it completed. */
    pop(): void {
      for (let level = 0; ; level++) {
        const completed = at(level).length % 2 === 0
        at(level).pop()
        if (!completed) return
      }
    },
  }
}

export function createLedger(trustDomain: string, now: () => Date) {
  const origin = `${trustDomain}/log/${epoch}`
  const signer = createNoteSigner(origin, generateKeyPairSync('ed25519').privateKey)
  const tree = createTree()

  return {
    epoch,
    vkey: signer.vkey,

    /**
     * Appends an entry.
     * @param entryPart the entry without version and time
     * @returns its receipt, with a proof of growth since `sinceSize`
     */
    append(entryPart: Record<string, unknown>, sinceSize?: number): Receipt {
      const entry = canonicalize({ v: 1, time: now().toISOString(), ...entryPart })
      const nonce = randomBytes(32).toString('base64')
      const index = tree.size()
      tree.push(entryLeaf(nonce, entry))
      const size = tree.size()
      const checkpoint = signCheckpoint(origin, size, tree.hashOf([0, size]), [signer])
      const hasGrown = sinceSize !== undefined && sinceSize > 0 && sinceSize <= size
      const growth = hasGrown
        ? consistencyRanges(sinceSize, size).map((range) => tree.hashOf(range).toString('base64'))
        : []
      return {
        epoch,
        index,
        entry,
        nonce,
        proof: formatProof({ index, hashes: inclusionRanges(index, size).map(tree.hashOf), checkpoint }),
        ...(hasGrown && { consistency: growth }),
      }
    },

    /** Replaces the newest entry, so that the same key signs another history. */
    fork(): void {
      tree.pop()
      tree.push(randomBytes(32))
    },
  }
}
