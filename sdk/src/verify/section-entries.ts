import { EXPORT_BLOCK } from './export-format.ts'
import type { HashesLine } from './export-lines.ts'
import { sameHash } from './merkle.ts'
import type { Problem } from './problems.ts'
import type { SectionTree } from './section-tree.ts'

/** What a line says about an index: an entry, that it was redacted, or nothing that can be used. */
export type Found = { leaf: Buffer; entry?: Record<string, unknown> } | 'redacted' | 'bad'

type Block = { first: number; leaves: Buffer[]; root?: Buffer; found: (Found | undefined)[]; highest: number }

export type SectionEntries = {
  hashes: (line: HashesLine) => void
  entry: (index: number, found: Found) => void
  /** Ends the section and names what is missing. Returns the blocks whose leaves don't have the root given for them. */
  close: () => { first: number; end: number }[]
}

// Lines out of their place are remembered up to here; an export that has more of them proves nothing anyway.
const MAX_STRAYS = 65_536

/**
 * Puts the lines of a section in their places, [from, to), and compares each with the tree's hash for it. Every index is
 * settled once: as it should be, or with one problem.
 * @param accepted called for each index whose line agrees with the tree's hash
 */
export function createSectionEntries(
  { from, to }: { from: number; to: number },
  tree: SectionTree,
  report: (problem: Omit<Problem, 'epoch'>) => void,
  accepted: (index: number, found: Found) => void,
): SectionEntries {
  let next = from
  let block: Block | undefined
  const strays = new Map<number, Found>()
  const missing = new Map<number, Buffer | undefined>()
  const badBlocks: { first: number; end: number }[] = []

  const blockEnd = (first: number) => Math.min(to, (Math.floor(first / EXPORT_BLOCK) + 1) * EXPORT_BLOCK)

  function hashes({ first, leaves, root }: HashesLine): void {
    const inPlace = first >= next && first < to && (first === from || first % EXPORT_BLOCK === 0)
    if (!inPlace || leaves.length !== blockEnd(first) - first) {
      report({ code: 'bad_line', index: first, detail: 'the hashes at this index are out of place' })
      return
    }
    closeBlock()
    if (first > next) closeGap(first)
    block = { first, leaves, ...(root && { root }), found: leaves.map(() => undefined), highest: -1 }
    next = first + leaves.length
  }

  function entry(index: number, found: Found): void {
    const place = block ? index - block.first : -1
    if (!block || place < 0 || place >= block.leaves.length) {
      if (strays.has(index)) report({ code: 'duplicate_entry', index, detail: 'the entry is here more than once' })
      else if (strays.size < MAX_STRAYS) strays.set(index, found)
      else report({ code: 'out_of_order', index, detail: 'too many entries are out of place' })
    } else if (block.found[place] !== undefined) {
      report({ code: 'duplicate_entry', index, detail: 'the entry is here more than once' })
    } else {
      if (place < block.highest) reportOutOfOrder(index)
      block.found[place] = found
      block.highest = Math.max(block.highest, place)
    }
  }

  const reportOutOfOrder = (index: number) =>
    report({ code: 'out_of_order', index, detail: 'the entry is not in its place' })

  function takeStray(index: number): Found | undefined {
    const found = strays.get(index)
    strays.delete(index)
    return found
  }

  function settle(index: number, leaf: Buffer | undefined, found: Found): void {
    if (found === 'bad') return
    if (found !== 'redacted' && leaf && !sameHash(found.leaf, leaf)) {
      report({
        code: 'entry_mismatch',
        index,
        detail: 'entry, nonce or hash was changed: the tree has another hash for this index',
      })
    } else {
      accepted(index, found)
    }
  }

  function closeBlock(): void {
    if (!block) return
    const { first, leaves, root, found } = block
    block = undefined
    leaves.forEach((leaf, place) => {
      const index = first + place
      let one = found[place]
      if (one === undefined && (one = takeStray(index)) !== undefined) reportOutOfOrder(index)
      if (one === undefined) missing.set(index, leaf)
      else settle(index, leaf, one)
    })
    if (!tree.addLeaves(leaves, root)) badBlocks.push({ first, end: first + leaves.length })
  }

  /** Entries from `next` to `end` came without hashes: their own hashes take their place if they are all here. */
  function closeGap(end: number): void {
    report({ code: 'hashes_missing', index: next, to: end, detail: "the tree's hashes for these entries are missing" })
    const here = [...strays.keys()].filter((index) => index >= next && index < end).sort((a, b) => a - b)
    const leaves: Buffer[] = []
    let expected = next
    for (const index of here) {
      if (index > expected) reportMissing(expected, index)
      const found = takeStray(index) ?? 'bad'
      settle(index, undefined, found)
      if (typeof found === 'object') leaves.push(found.leaf)
      expected = index + 1
    }
    if (expected < end) reportMissing(expected, end)
    if (leaves.length === end - next) tree.addLeaves(leaves)
    else tree.lose()
    next = end
  }

  const reportMissing = (index: number, end: number) =>
    report({ code: 'missing_entry', index, to: end, detail: 'the entry is missing' })

  function close(): { first: number; end: number }[] {
    closeBlock()
    if (next < to) closeGap(to)
    // What is left belongs to blocks that had ended before the line came, or to no place in the section.
    for (const [index, found] of strays) {
      if (missing.has(index)) {
        reportOutOfOrder(index)
        settle(index, missing.get(index), found)
        missing.delete(index)
      } else if (index >= from && index < to) {
        report({ code: 'duplicate_entry', index, detail: 'the entry is here more than once' })
      } else {
        report({ code: 'unexpected_entry', index, detail: 'the section has no such index' })
      }
    }
    for (const index of missing.keys()) reportMissing(index, index + 1)
    return badBlocks
  }

  return { hashes, entry, close }
}
