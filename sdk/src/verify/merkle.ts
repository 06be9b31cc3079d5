import { hash } from 'node:crypto'
import { VerifyError, type VerifyCode } from './errors.ts'

// Sizes and indexes are JavaScript numbers up to 2^53 - 1. Bit operators would cut them at 32 bits.

/** The length of every hash in the tree, in bytes. */
export const HASH_SIZE = 32

/** The root of the tree without entries: SHA-256 of nothing (RFC 6962 §2.1). */
export const EMPTY_ROOT: Buffer = hash('sha256', '', 'buffer')

const half = (n: number) => Math.floor(n / 2)
const odd = (n: number) => n % 2 === 1

/** `SHA-256(0x00 ‖ data)`. In Purser's log the data is an entry's 32-byte commitment. */
export function leafHash(data: Uint8Array): Buffer {
  const input = Buffer.allocUnsafe(1 + data.length)
  input[0] = 0x00
  input.set(data, 1)
  return hash('sha256', input, 'buffer')
}

// Hashing is synchronous and keeps no reference to its input, so one buffer serves every call.
const pair = Buffer.alloc(1 + 2 * HASH_SIZE)
pair[0] = 0x01

/** `SHA-256(0x01 ‖ left ‖ right)`. Both must be 32 bytes. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  if (left.length !== HASH_SIZE || right.length !== HASH_SIZE) {
    throw new VerifyError('bad_argument', 'a tree hash has 32 bytes')
  }
  pair.set(left, 1)
  pair.set(right, 1 + HASH_SIZE)
  return hash('sha256', pair, 'buffer')
}

/** Constant time does not matter here: everything compared is public. */
export const sameHash = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

export function requireSize(size: number, what: string, code: VerifyCode = 'bad_argument'): void {
  if (!Number.isSafeInteger(size) || size < 0) throw new VerifyError(code, `${what} is not a number from 0 to 2^53 - 1`)
}

function requireHashes(hashes: readonly Uint8Array[], code: VerifyCode): void {
  for (const hash of hashes) {
    if (!(hash instanceof Uint8Array) || hash.length !== HASH_SIZE)
      throw new VerifyError(code, 'a tree hash has 32 bytes')
  }
}

/**
 * Climbs from a node to the root, one sibling at a time (RFC 9162 §2.1.3.2).
 * @param last the index of the last node at the level of `index`
 * @param join called with each sibling, and whether that is on the left
 */
function climb(
  index: number,
  last: number,
  siblings: readonly Uint8Array[],
  fail: (why: string) => never,
  join: (sibling: Uint8Array, isLeft: boolean) => void,
): void {
  let [position, lastPosition] = [index, last]
  for (const sibling of siblings) {
    if (lastPosition === 0) fail('the proof is too long')
    const isLeft = odd(position) || position === lastPosition
    join(sibling, isLeft)
    // At the right edge, the proof has no hash for levels at which the node has no sibling.
    if (isLeft) {
      while (!odd(position) && position !== 0) {
        position = half(position)
        lastPosition = half(lastPosition)
      }
    }
    position = half(position)
    lastPosition = half(lastPosition)
  }
  if (lastPosition !== 0) fail('the proof is too short')
}

const failInclusion = (why: string): never => {
  throw new VerifyError('bad_inclusion', why)
}

/**
 * Computes the root from an inclusion proof for the leaf at `index` in a tree of `size` leaves (RFC 9162 §2.1.3.2).
 * @throws VerifyError `bad_inclusion` if the proof's length does not match index and size
 */
export function rootFromInclusion(index: number, size: number, leaf: Uint8Array, proof: readonly Uint8Array[]): Buffer {
  requireSize(index, 'index', 'bad_inclusion')
  requireSize(size, 'size', 'bad_inclusion')
  requireHashes([leaf, ...proof], 'bad_inclusion')
  if (index >= size) throw new VerifyError('bad_inclusion', `index ${index} is outside a tree of ${size}`)
  let root: Buffer = Buffer.from(leaf)
  climb(index, size - 1, proof, failInclusion, (sibling, isLeft) => {
    root = isLeft ? nodeHash(sibling, root) : nodeHash(root, sibling)
  })
  return root
}

/**
 * Checks that a leaf is at `index` in the tree of `size` leaves with this root.
 * @throws VerifyError `bad_inclusion`
 */
export function verifyInclusion(
  index: number,
  size: number,
  leaf: Uint8Array,
  proof: readonly Uint8Array[],
  root: Uint8Array,
): void {
  if (!sameHash(rootFromInclusion(index, size, leaf, proof), root)) {
    throw new VerifyError('bad_inclusion', `the proof for index ${index} leads to another root`)
  }
}

/**
 * Checks that the tree (`size2`, `root2`) extends the tree (`size1`, `root1`) (RFC 9162 §2.1.4.2). It refuses a `size1` of 0,
 * since a proof from the empty tree proves nothing.
 * @throws VerifyError `bad_consistency`
 */
export function verifyConsistency(
  size1: number,
  size2: number,
  proof: readonly Uint8Array[],
  root1: Uint8Array,
  root2: Uint8Array,
): void {
  const fail = (why: string): never => {
    throw new VerifyError('bad_consistency', why)
  }
  requireSize(size1, 'size', 'bad_consistency')
  requireSize(size2, 'size', 'bad_consistency')
  requireHashes([root1, root2, ...proof], 'bad_consistency')
  if (size1 === 0 || size1 > size2) fail(`there is no proof from size ${size1} to size ${size2}`)
  if (size1 === size2) {
    if (proof.length !== 0) fail('a proof between equal sizes must be empty')
    if (!sameHash(root1, root2)) fail(`two roots for size ${size1}`)
    return
  }
  let position = size1 - 1
  let last = size2 - 1
  while (odd(position)) {
    position = half(position)
    last = half(last)
  }
  // If size1 is a power of two, the old root is a node of the new tree, and the proof omits it.
  const path = position === 0 ? [root1, ...proof] : proof
  const seed = path[0] ?? fail('the proof is empty')
  let old: Uint8Array = seed
  let newRoot: Uint8Array = seed
  climb(position, last, path.slice(1), fail, (sibling, isLeft) => {
    if (isLeft) old = nodeHash(sibling, old)
    newRoot = isLeft ? nodeHash(sibling, newRoot) : nodeHash(newRoot, sibling)
  })
  if (!sameHash(old, root1)) fail(`the proof does not start from the root kept for size ${size1}`)
  if (!sameHash(newRoot, root2)) fail(`the proof does not lead to the root of size ${size2}`)
}
