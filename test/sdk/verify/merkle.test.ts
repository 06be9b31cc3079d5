import { isDeepStrictEqual } from 'node:util'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  consistencyProofOf,
  EMPTY_ROOT,
  inclusionProofOf,
  leafHash,
  nodeHash,
  rootFromInclusion,
  rootOf,
  verifyConsistency,
  verifyInclusion,
  VerifyError,
} from '@purser/sdk/verify'
import { naivePath, naiveProof, naiveRoot, numberedLeaves } from './naive.ts'

const leaves = numberedLeaves(130)
const at = (index: number) => leaves[index] ?? EMPTY_ROOT
const roots = leaves.map((_, i) => naiveRoot(leaves.slice(0, i + 1)))
const rootAt = (size: number) => roots[size - 1] ?? EMPTY_ROOT
const rejects = (work: () => unknown, code: string) =>
  expect(work).toThrow(expect.objectContaining({ name: 'VerifyError', code }))

describe('hashes', () => {
  it('are those of RFC 6962: the empty tree, the empty leaf, a leaf, a node', () => {
    expect(EMPTY_ROOT.toString('hex')).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    // The vectors of Certificate Transparency's tests (RFC 6962 implementations share them).
    expect(leafHash(Buffer.alloc(0)).toString('hex')).toBe(
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    )
    expect(leafHash(Buffer.from('L123456')).toString('hex')).toBe(
      '395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56',
    )
  })

  it('require two 32-byte hashes for a node', () => {
    rejects(() => nodeHash(at(0).subarray(1), at(1)), 'bad_argument')
    rejects(() => nodeHash(at(0), Buffer.concat([at(1), at(2)])), 'bad_argument')
  })

  it('distinguish leaf and node: an inner node is not the leaf of its two children', () => {
    const inner = nodeHash(at(0), at(1))
    expect(leafHash(Buffer.concat([at(0), at(1)])).equals(inner)).toBe(false)
    // The tree of 4 seen as a tree of 2 whose leaves are its inner nodes has the same root, but no leaf data leads there.
    const right = nodeHash(at(2), at(3))
    expect(rootFromInclusion(0, 2, inner, [right]).equals(rootAt(4))).toBe(true)
    rejects(() => verifyInclusion(0, 2, leafHash(Buffer.concat([at(0), at(1)])), [right], rootAt(4)), 'bad_inclusion')
  })
})

describe('every tree up to 130 leaves', () => {
  it('has the root of RFC 6962', () => {
    for (let size = 0; size <= 130; size++) expect(rootOf(leaves.slice(0, size)).equals(rootAt(size))).toBe(true)
  })

  it('has the inclusion proofs of RFC 6962, and they verify', () => {
    let checked = 0
    for (let size = 1; size <= 130; size++) {
      const some = leaves.slice(0, size)
      for (let index = 0; index < size; index++) {
        const proof = inclusionProofOf(leaves, index, size)
        if (size <= 40 || index % 37 === 0) expect(isDeepStrictEqual(proof, naivePath(index, some))).toBe(true)
        verifyInclusion(index, size, at(index), proof, rootAt(size))
        checked += 1
      }
    }
    expect(checked).toBe((130 * 131) / 2)
  })

  it('has the consistency proofs of RFC 6962, and they verify', () => {
    let checked = 0
    for (let to = 1; to <= 130; to++) {
      for (let from = 1; from <= to; from++) {
        const proof = consistencyProofOf(leaves, from, to)
        if (to <= 40 || from % 37 === 0)
          expect(isDeepStrictEqual(proof, naiveProof(from, leaves.slice(0, to)))).toBe(true)
        verifyConsistency(from, to, proof, rootAt(from), rootAt(to))
        checked += 1
      }
    }
    expect(checked).toBe((130 * 131) / 2)
  })
})

describe('inclusion proofs', () => {
  it('are rejected for every other index, size, leaf and root', () => {
    for (let size = 1; size <= 33; size++) {
      for (let index = 0; index < size; index++) {
        const proof = inclusionProofOf(leaves, index, size)
        rejects(() => verifyInclusion(index, size, at(index + 1), proof, rootAt(size)), 'bad_inclusion')
        rejects(() => verifyInclusion(index, size, at(index), proof, rootAt(size + 1)), 'bad_inclusion')
        for (let other = 0; other < size; other++) {
          if (other === index) continue
          rejects(() => verifyInclusion(other, size, at(index), proof, rootAt(size)), 'bad_inclusion')
        }
      }
    }
  })

  it('are rejected reversed, cut, lengthened, and with a hash changed', () => {
    for (let size = 3; size <= 65; size++) {
      for (const index of [0, 1, size >> 1, size - 1]) {
        const proof = inclusionProofOf(leaves, index, size)
        const refused = [
          proof.slice(1),
          proof.slice(0, -1),
          [...proof, at(0)],
          [at(0), ...proof],
          [...proof, rootAt(size)],
          ...(proof.length > 1 ? [proof.toReversed()] : []),
          ...proof.map((_, i) => proof.with(i, at(129))),
          ...proof.map((bytes, i) => proof.with(i, bytes.subarray(0, 31))),
        ]
        for (const bad of refused) {
          rejects(() => verifyInclusion(index, size, at(index), bad, rootAt(size)), 'bad_inclusion')
        }
      }
    }
  })

  it('are rejected for an index outside the tree, a fraction, a negative and an unsafe number', () => {
    for (const [index, size] of [
      [0, 0],
      [1, 1],
      [-1, 4],
      [0.5, 4],
      [Number.NaN, 4],
      [0, Number.POSITIVE_INFINITY],
      [0, 2 ** 53],
    ] as const) {
      rejects(() => rootFromInclusion(index, size, at(0), []), 'bad_inclusion')
    }
  })

  it('have the right length beyond 2^32 leaves', () => {
    const size = 2 ** 40 + 5
    const long = (count: number) => Array.from({ length: count }, (_, i) => at(i))
    // The last leaf is alone in the tree's right edge: 5 leaves split at 4, then the whole at 2^40.
    expect(rootFromInclusion(size - 1, size, at(0), long(2))).toHaveLength(32)
    expect(rootFromInclusion(2 ** 39, size, at(0), long(41))).toHaveLength(32)
    rejects(() => rootFromInclusion(2 ** 39, size, at(0), long(40)), 'bad_inclusion')
    rejects(() => rootFromInclusion(2 ** 39, size, at(0), long(42)), 'bad_inclusion')
  })
})

describe('consistency proofs', () => {
  it('are rejected reversed, cut, lengthened, with a hash changed, and with the roots exchanged', () => {
    for (let to = 2; to <= 65; to++) {
      for (const from of new Set([1, 2, to >> 1, to - 1])) {
        if (from < 1 || from >= to) continue
        const proof = consistencyProofOf(leaves, from, to)
        const refused = [
          [],
          proof.slice(1),
          proof.slice(0, -1),
          [...proof, at(0)],
          [at(0), ...proof],
          [rootAt(from), ...proof],
          ...(proof.length > 1 ? [proof.toReversed()] : []),
          ...proof.map((_, i) => proof.with(i, at(129))),
        ]
        for (const bad of refused) {
          rejects(() => verifyConsistency(from, to, bad, rootAt(from), rootAt(to)), 'bad_consistency')
        }
        rejects(() => verifyConsistency(from, to, proof, rootAt(to), rootAt(from)), 'bad_consistency')
        rejects(() => verifyConsistency(to, from, proof, rootAt(to), rootAt(from)), 'bad_consistency')
      }
    }
  })

  it('between equal sizes are empty, and the roots equal', () => {
    verifyConsistency(7, 7, [], rootAt(7), rootAt(7))
    rejects(() => verifyConsistency(7, 7, [at(0)], rootAt(7), rootAt(7)), 'bad_consistency')
    rejects(() => verifyConsistency(7, 7, [], rootAt(7), rootAt(8)), 'bad_consistency')
  })

  it('prove nothing from the empty tree', () => {
    rejects(() => verifyConsistency(0, 7, [], EMPTY_ROOT, rootAt(7)), 'bad_consistency')
    rejects(() => verifyConsistency(0, 0, [], EMPTY_ROOT, EMPTY_ROOT), 'bad_consistency')
    rejects(() => consistencyProofOf(leaves, 0, 7), 'bad_argument')
  })
})

it('garbage is refused with a VerifyError, never with another error and never accepted', () => {
  const hashes = fc.array(fc.uint8Array({ minLength: 0, maxLength: 40 }), { maxLength: 60 })
  const size = fc.oneof(fc.nat(300), fc.maxSafeNat(), fc.double())
  fc.assert(
    fc.property(size, size, hashes, (a, b, proof) => {
      for (const work of [
        () => verifyInclusion(a, b, at(0), proof, at(1)),
        () => verifyConsistency(a, b, proof, at(0), at(1)),
      ]) {
        expect(work).toThrow(VerifyError)
      }
    }),
    { numRuns: 500 },
  )
})
