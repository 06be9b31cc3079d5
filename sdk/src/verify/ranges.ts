import { VerifyError } from './errors.ts'
import { EMPTY_ROOT, nodeHash, requireSize } from './merkle.ts'

/** Leaves `[begin, end)` that share a subtree, which is complete or at the right edge of the tree. */
export type Range = readonly [begin: number, end: number]

/** A complete subtree: leaves `[index · 2^level, (index + 1) · 2^level)`. */
export type Subtree = { level: number; index: number }

/** The number of bits of a number up to 2^53. */
function bitLength(n: number): number {
  return n < 2 ** 32 ? 32 - Math.clz32(n) : 64 - Math.clz32(Math.floor(n / 2 ** 32))
}

/** The largest power of two below n, for n > 1: where RFC 6962 §2.1 splits a tree of n leaves. */
const splitOf = (n: number) => 2 ** (bitLength(n - 1) - 1)

/**
 * The ranges of an inclusion proof, from the leaf's sibling upwards (RFC 6962 §2.1.1).
 * @throws VerifyError `bad_argument` unless index < size
 */
export function inclusionRanges(index: number, size: number): Range[] {
  requireSize(index, 'index')
  requireSize(size, 'size')
  if (index >= size) throw new VerifyError('bad_argument', `index ${index} is outside a tree of ${size}`)
  const ranges: Range[] = []
  let begin = 0
  let end = size
  while (end - begin > 1) {
    const middle = begin + splitOf(end - begin)
    if (index < middle) {
      ranges.push([middle, end])
      end = middle
    } else {
      ranges.push([begin, middle])
      begin = middle
    }
  }
  return ranges.toReversed()
}

/**
 * The ranges of a consistency proof between two sizes (RFC 6962 §2.1.2); none between equal sizes.
 * @throws VerifyError `bad_argument` unless 1 <= from <= to
 */
export function consistencyRanges(from: number, to: number): Range[] {
  requireSize(from, 'size')
  requireSize(to, 'size')
  if (from < 1 || from > to) throw new VerifyError('bad_argument', `no consistency proof from size ${from} to ${to}`)
  const ranges: Range[] = []
  let begin = 0
  let end = to
  while (from < end) {
    const middle = begin + splitOf(end - begin)
    if (from <= middle) {
      ranges.push([middle, end])
      end = middle
    } else {
      ranges.push([begin, middle])
      begin = middle
    }
  }
  // The last subtree of the old tree. If it is the whole old tree, the verifier knows its root.
  if (begin !== 0) ranges.push([begin, end])
  return ranges.toReversed()
}

/** The minimal list of complete subtrees that cover leaves `[begin, end)`, left to right. */
export function subtreesOf(begin: number, end: number): Subtree[] {
  const subtrees: Subtree[] = []
  let at = begin
  while (at < end) {
    let level = 0
    let width = 1
    while (at % (width * 2) === 0 && at + width * 2 <= end) {
      width *= 2
      level += 1
    }
    subtrees.push({ level, index: at / width })
    at += width
  }
  return subtrees
}

/**
 * Joins the hashes of the `subtreesOf` a range to its hash. It begins with the smaller ones on the right, since a tree is split
 * at the largest power of two (RFC 6962 §2.1).
 */
export function joinSubtrees(hashes: readonly Uint8Array[]): Buffer {
  let joined: Uint8Array | undefined
  for (const left of hashes.toReversed()) joined = joined ? nodeHash(left, joined) : left
  return joined ? Buffer.from(joined) : EMPTY_ROOT
}
