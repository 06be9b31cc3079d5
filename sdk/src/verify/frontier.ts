import { VerifyError } from './errors.ts'
import { nodeHash } from './merkle.ts'
import { joinSubtrees } from './ranges.ts'

/**
 * An append-only tree that keeps only the roots of its complete subtrees: O(log n) memory.
 * @param onNode called with every complete subtree that is appended or results from it
 */
export function createFrontier(onNode?: (level: number, index: number, hash: Uint8Array) => void) {
  const stack: { level: number; hash: Uint8Array }[] = []
  let size = 0

  /** Appends a complete subtree of 2^level leaves, aligned to its own width. */
  function push(level: number, hash: Uint8Array): void {
    if (size % 2 ** level !== 0) throw new VerifyError('bad_argument', `no subtree of level ${level} starts at ${size}`)
    let top = { level, hash }
    size += 2 ** level
    onNode?.(level, size / 2 ** level - 1, hash)
    for (let left = stack.at(-1); left?.level === top.level; left = stack.at(-1)) {
      stack.pop()
      top = { level: top.level + 1, hash: nodeHash(left.hash, top.hash) }
      onNode?.(top.level, size / 2 ** top.level - 1, top.hash)
    }
    stack.push(top)
  }

  return {
    /** The number of leaves. */
    get size() {
      return size
    },
    push,
    root: () => joinSubtrees(stack.map(({ hash }) => hash)),
  }
}
