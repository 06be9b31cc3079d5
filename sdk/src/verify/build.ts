import { VerifyError } from './errors.ts'
import { EMPTY_ROOT, nodeHash } from './merkle.ts'
import { consistencyRanges, inclusionRanges, joinSubtrees, subtreesOf, type Range } from './ranges.ts'

/** The root over a list of leaf hashes. Computes one hash for each leaf. */
export function rootOf(leaves: readonly Uint8Array[]): Buffer {
  return leaves.length === 0 ? EMPTY_ROOT : rangeOf(leaves, [0, leaves.length])
}

/**
 * The inclusion proof of one leaf in the tree of the first `size` leaves of the list.
 * @throws VerifyError `bad_argument`
 */
export function inclusionProofOf(leaves: readonly Uint8Array[], index: number, size = leaves.length): Buffer[] {
  requireLeaves(leaves, size)
  return inclusionRanges(index, size).map((range) => rangeOf(leaves, range))
}

/**
 * The consistency proof between the trees of the first `from` and the first `to` leaves of the list.
 * @throws VerifyError `bad_argument`
 */
export function consistencyProofOf(leaves: readonly Uint8Array[], from: number, to = leaves.length): Buffer[] {
  requireLeaves(leaves, to)
  return consistencyRanges(from, to).map((range) => rangeOf(leaves, range))
}

function requireLeaves(leaves: readonly Uint8Array[], size: number): void {
  if (size > leaves.length) throw new VerifyError('bad_argument', `there are ${leaves.length} leaves, not ${size}`)
}

function rangeOf(leaves: readonly Uint8Array[], [begin, end]: Range): Buffer {
  const complete = subtreesOf(begin, end).map(({ level, index }) => {
    let hashes = leaves.slice(index * 2 ** level, (index + 1) * 2 ** level)
    while (hashes.length > 1) hashes = pairUp(hashes)
    return hashes[0] ?? EMPTY_ROOT
  })
  return joinSubtrees(complete)
}

function pairUp(hashes: readonly Uint8Array[]): Buffer[] {
  const parents: Buffer[] = []
  for (let i = 0; i < hashes.length; i += 2)
    parents.push(nodeHash(hashes[i] ?? EMPTY_ROOT, hashes[i + 1] ?? EMPTY_ROOT))
  return parents
}
