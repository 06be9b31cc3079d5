/** RFC 6962 §2.1 word for word, recursive and slow: the reference for the real code. */
import { createHash } from 'node:crypto'

const sha256 = (...parts: Uint8Array[]) => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

const split = (n: number) => {
  let k = 1
  while (k * 2 < n) k *= 2
  return k
}

const first = (list: readonly Buffer[]) => {
  const [head] = list
  if (!head) throw new Error('empty list')
  return head
}

const node = (left: Buffer, right: Buffer) => sha256(Buffer.of(1), left, right)

export function naiveRoot(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return sha256()
  if (leaves.length === 1) return first(leaves)
  const k = split(leaves.length)
  return node(naiveRoot(leaves.slice(0, k)), naiveRoot(leaves.slice(k)))
}

export function naivePath(m: number, leaves: readonly Buffer[]): Buffer[] {
  if (leaves.length === 1) return []
  const k = split(leaves.length)
  return m < k
    ? [...naivePath(m, leaves.slice(0, k)), naiveRoot(leaves.slice(k))]
    : [...naivePath(m - k, leaves.slice(k)), naiveRoot(leaves.slice(0, k))]
}

export const naiveProof = (m: number, leaves: readonly Buffer[]) => naiveSubproof(m, leaves, true)

function naiveSubproof(m: number, leaves: readonly Buffer[], whole: boolean): Buffer[] {
  if (m === leaves.length) return whole ? [] : [naiveRoot(leaves)]
  const k = split(leaves.length)
  return m <= k
    ? [...naiveSubproof(m, leaves.slice(0, k), whole), naiveRoot(leaves.slice(k))]
    : [...naiveSubproof(m - k, leaves.slice(k), false), naiveRoot(leaves.slice(0, k))]
}

/** Leaf hashes of a log whose entries are the numbers from 0 as text. */
export const numberedLeaves = (count: number) =>
  Array.from({ length: count }, (_, i) => sha256(Buffer.of(0), Buffer.from(String(i))))
