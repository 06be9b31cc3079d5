import { isObject } from './canonical.ts'
import { openCheckpoint, type Checkpoint } from './checkpoint.ts'
import { VerifyError } from './errors.ts'
import type { Vkeys } from './note.ts'
import type { Problems } from './problems.ts'
import { inclusionRanges } from './ranges.ts'
import { verifyReceipt } from './receipt.ts'

/** A hash over leaves [begin, end) that a signature vouches for. */
export type Anchor = { begin: number; end: number; hash: Uint8Array }

/** Something kept elsewhere, verified: what it says about one log. `index` where it is a receipt. */
export type Kept = { what: string; head: Checkpoint; index?: number; anchors: Anchor[] }

/**
 * Opens what an auditor kept. Each kept receipt says more than its root: the hashes of its proof cover the whole tree, in
 * ranges that are the smaller the nearer they are to its entry.
 */
export function openKept(
  { checkpoints = [], receipts = [] }: { checkpoints?: readonly string[]; receipts?: readonly unknown[] },
  vkeys: Vkeys,
  problems: Problems,
): Kept[] {
  const kept: Kept[] = []
  for (const note of checkpoints) {
    attempt(
      () => kept.push(keptCheckpoint(note, vkeys)),
      (detail) => problems.add({ code: 'bad_checkpoint', detail }),
    )
  }
  for (const receipt of receipts) {
    attempt(
      () => kept.push(keptReceipt(receipt, vkeys)),
      (detail) => problems.add({ code: 'bad_receipt', ...placeOf(receipt), detail }),
    )
  }
  return kept
}

function attempt(work: () => void, failed: (detail: string) => void): void {
  try {
    work()
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error
    failed(`what was kept does not verify itself (${error.code}): ${error.message}`)
  }
}

function keptCheckpoint(note: string, vkeys: Vkeys): Kept {
  const head = openCheckpoint(note, vkeys)
  return { what: `checkpoint over ${head.size} entries`, head, anchors: headAnchors(head) }
}

function keptReceipt(receipt: unknown, vkeys: Vkeys): Kept {
  const { index, checkpoint, leaf, hashes } = verifyReceipt(receipt, { vkeys })
  const siblings = inclusionRanges(index, checkpoint.size).map(([begin, end], i) => ({
    begin,
    end,
    hash: hashes[i] ?? checkpoint.root,
  }))
  const anchors = [{ begin: index, end: index + 1, hash: leaf }, ...siblings, ...headAnchors(checkpoint)]
  return { what: `receipt of entry ${index}`, head: checkpoint, index, anchors }
}

const headAnchors = ({ size, root }: Checkpoint): Anchor[] => (size === 0 ? [] : [{ begin: 0, end: size, hash: root }])

/** Where a receipt that does not verify says that its entry is, to name it. */
function placeOf(receipt: unknown): { epoch?: number; index?: number } {
  if (!isObject(receipt)) return {}
  const { epoch, index } = receipt
  return { ...(typeof epoch === 'number' && { epoch }), ...(typeof index === 'number' && { index }) }
}
