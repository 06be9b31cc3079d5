/** One receipt, judged by itself and against heads that were kept. */
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

/** @throws VerifyError `bad_key` for a key of the caller's */
export function judgeReceipt(receipt: unknown, vkeys: readonly string[], kept: readonly string[]): Verdict {
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
      `${checkpoint.origin}: entry ${index} is in the log as it stands here: ${told(entry)}`,
      `its head over ${checkpoint.size} entries is signed by the log's key`,
    )
    for (const note of kept) {
      attempt('bad_checkpoint', () => compare(openCheckpoint(note, vkeys), checkpoint))
    }
  })

  function compare(old: SignedCheckpoint, head: SignedCheckpoint): void {
    const which = `the checkpoint over ${old.size} entries of ${old.origin}`
    const proof = growthIn(receipt)
    if (old.origin === head.origin && old.size === head.size) {
      verifyGrowth(old, head, [])
      proved.push(`${which} is of this very log`)
    } else if (old.origin === head.origin && old.size < head.size && proof && grew(old, head, proof)) {
      proved.push(`the log only grew since ${which} was signed`)
    } else open.push(`that the log was another one when ${which} was signed: the receipt does not hold what it takes`)
  }

  const notExcluded = [
    ...open,
    'that the log was rewritten since: compare with an export, or with a head that others keep',
    'that the log showed others another history: no witness was asked',
  ]
  const ok = problems.length === 0
  return { ok, proved: ok ? proved : [], notExcluded: ok ? notExcluded : [], problems, problemCount: problems.length }
}

const told = ({ action, outcome, time }: Record<string, unknown>): string =>
  [action, outcome, time].map(String).join(' ')

/** A proof since another size proves nothing here, and nothing against the log either. */
function grew(old: SignedCheckpoint, head: SignedCheckpoint, proof: readonly string[]): boolean {
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
