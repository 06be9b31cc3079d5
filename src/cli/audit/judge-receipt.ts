/** Verifies a receipt, also against signed heads that the caller kept. */
import {
  type ExportReport,
  type Problem,
  type SignedCheckpoint,
  VerifyError,
  openCheckpoint,
  verifyGrowth,
  verifyReceipt,
} from '@purser/sdk/verify'

export type Verdict = Pick<ExportReport, 'ok' | 'proved' | 'notExcluded' | 'problems' | 'problemCount'>

/** @throws VerifyError `bad_key` for an invalid key */
export function judgeReceipt(receipt: unknown, vkeys: readonly string[], notes: readonly string[]): Verdict {
  const proved: string[] = []
  const open: string[] = []
  const problems: Problem[] = []
  const attempt = (code: Problem['code'], work: () => void): void => {
    try {
      work()
    } catch (error) {
      if (!(error instanceof VerifyError) || error.code === 'bad_key') throw error
      problems.push({ ...placeOf(receipt), code, detail: `${error.code}: ${error.message}` })
    }
  }
  attempt('bad_receipt', () => {
    const { index, checkpoint, entry } = verifyReceipt(receipt, { vkeys })
    proved.push(
      `${checkpoint.origin}: the log holds entry ${index} unchanged: ${summary(entry)}`,
      `the log's key signed the head over ${checkpoint.size} entries`,
    )
    for (const note of notes) {
      attempt('bad_checkpoint', () => compare(openCheckpoint(note, vkeys), checkpoint))
    }
  })

  function compare(old: SignedCheckpoint, head: SignedCheckpoint): void {
    const which = `the checkpoint over ${old.size} entries of ${old.origin}`
    const proof = growthIn(receipt)
    if (old.origin === head.origin && old.size === head.size) {
      verifyGrowth(old, head, [])
      proved.push(`${which} belongs to this log`)
    } else if (old.origin === head.origin && old.size < head.size && proof && isConsistent(old, head, proof)) {
      proved.push(`the log only grew since ${which}`)
    } else open.push(`that ${which} belongs to another log: the receipt has no consistency proof for it`)
  }

  const notExcluded = [
    ...open,
    'that the log was rewritten later: compare with an export, or with a head that others keep',
    'that others were shown a different log: no witness was consulted',
  ]
  const ok = problems.length === 0
  return { ok, proved: ok ? proved : [], notExcluded: ok ? notExcluded : [], problems, problemCount: problems.length }
}

const summary = ({ action, outcome, time }: Record<string, unknown>): string =>
  [action, outcome, time].map(String).join(' ')

/** A consistency proof from another size proves nothing, neither for the log nor against it. */
function isConsistent(old: SignedCheckpoint, head: SignedCheckpoint, proof: readonly string[]): boolean {
  try {
    verifyGrowth(old, head, proof)
    return true
  } catch (error) {
    if (error instanceof VerifyError) return false
    throw error
  }
}

function growthIn(receipt: unknown): string[] | undefined {
  if (typeof receipt !== 'object' || receipt === null || !('consistency' in receipt)) return undefined
  const { consistency } = receipt
  return Array.isArray(consistency) ? consistency.map(String) : undefined
}

function placeOf(receipt: unknown): Pick<Problem, 'epoch' | 'index'> {
  if (typeof receipt !== 'object' || receipt === null) return {}
  const { epoch, index }: { epoch?: unknown; index?: unknown } = receipt
  return { ...(typeof epoch === 'number' && { epoch }), ...(typeof index === 'number' && { index }) }
}
