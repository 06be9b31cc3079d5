import { EXPORT_BLOCK } from './export-format.ts'
import type { HashesLine } from './export-lines.ts'
import { sameHash } from './merkle.ts'
import type { Problem } from './problems.ts'
import type { SectionTree } from './section-tree.ts'

/** The content of a line for an index: an entry, a redacted entry, or nothing usable. */
export type Content = { leaf: Buffer; entry?: Record<string, unknown> } | 'redacted' | 'bad'

type Block = { first: number; leaves: Buffer[]; root?: Buffer; contents: (Content | undefined)[]; highest: number }

// The maximum number of misplaced lines in memory. An export with more of them proves nothing anyway.
const MAX_STRAYS = 65_536

/**
 * Sorts the lines of a section into the indexes [from, to), and compares each with the tree's hash. Each index is accepted
 * once, or reported once.
 * @param accept called for each index whose line agrees with the tree's hash
 */
export function createSectionEntries(
  { from, to }: { from: number; to: number },
  tree: SectionTree,
  report: (problem: Omit<Problem, 'epoch'>) => void,
  accept: (index: number, content: Content) => void,
) {
  let next = from
  let block: Block | undefined
  const strays = new Map<number, Content>()
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
    block = { first, leaves, ...(root && { root }), contents: leaves.map(() => undefined), highest: -1 }
    next = first + leaves.length
  }

  function entry(index: number, content: Content): void {
    const place = block ? index - block.first : -1
    if (!block || place < 0 || place >= block.leaves.length) {
      if (strays.has(index))
        report({ code: 'duplicate_entry', index, detail: 'the export has this entry more than once' })
      else if (strays.size < MAX_STRAYS) strays.set(index, content)
      else report({ code: 'out_of_order', index, detail: 'too many entries are out of place' })
    } else if (block.contents[place] !== undefined) {
      report({ code: 'duplicate_entry', index, detail: 'the export has this entry more than once' })
    } else {
      if (place < block.highest) reportOutOfOrder(index)
      block.contents[place] = content
      block.highest = Math.max(block.highest, place)
    }
  }

  const reportOutOfOrder = (index: number) =>
    report({ code: 'out_of_order', index, detail: 'the entry is not in its place' })

  function takeStray(index: number): Content | undefined {
    const content = strays.get(index)
    strays.delete(index)
    return content
  }

  function settle(index: number, leaf: Buffer | undefined, content: Content): void {
    if (content === 'bad') return
    if (content !== 'redacted' && leaf && !sameHash(content.leaf, leaf)) {
      report({
        code: 'entry_mismatch',
        index,
        detail: 'entry, nonce or hash was changed: the tree has another hash at this index',
      })
    } else {
      accept(index, content)
    }
  }

  function closeBlock(): void {
    if (!block) return
    const { first, leaves, root, contents } = block
    block = undefined
    leaves.forEach((leaf, place) => {
      const index = first + place
      const inPlace = contents[place]
      const content = inPlace ?? takeStray(index)
      if (content === undefined) missing.set(index, leaf)
      else {
        if (!inPlace) reportOutOfOrder(index)
        settle(index, leaf, content)
      }
    })
    if (!tree.addLeaves(leaves, root)) badBlocks.push({ first, end: first + leaves.length })
  }

  /** Closes the entries from `next` to `end` that have no line of hashes. Their own hashes replace it if all are here. */
  function closeGap(end: number): void {
    report({ code: 'hashes_missing', index: next, to: end, detail: "the tree's hashes for these entries are missing" })
    const here = [...strays.keys()].filter((index) => index >= next && index < end).sort((a, b) => a - b)
    const leaves: Buffer[] = []
    let expected = next
    for (const index of here) {
      if (index > expected) reportMissing(expected, index)
      const content = takeStray(index) ?? 'bad'
      settle(index, undefined, content)
      if (typeof content === 'object') leaves.push(content.leaf)
      expected = index + 1
    }
    if (expected < end) reportMissing(expected, end)
    if (leaves.length === end - next) tree.addLeaves(leaves)
    else tree.lose()
    next = end
  }

  const reportMissing = (index: number, end: number) =>
    report({ code: 'missing_entry', index, to: end, detail: 'the entry is missing' })

  /** Ends the section and reports missing entries. @returns the blocks whose leaves do not have the root in their line */
  function close(): { first: number; end: number }[] {
    closeBlock()
    if (next < to) closeGap(to)
    // The remaining lines came after the end of their block, or have no place in the section.
    for (const [index, content] of strays) {
      if (missing.has(index)) {
        reportOutOfOrder(index)
        settle(index, missing.get(index), content)
        missing.delete(index)
      } else if (index >= from && index < to) {
        report({ code: 'duplicate_entry', index, detail: 'the export has this entry more than once' })
      } else {
        report({ code: 'unexpected_entry', index, detail: 'the section has no such index' })
      }
    }
    for (const index of missing.keys()) reportMissing(index, index + 1)
    return badBlocks
  }

  return { hashes, entry, close }
}
