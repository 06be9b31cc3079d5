/** Every client is a witness: it verifies each receipt, and that the log only grew since the last one. */
import { PurserError, wordsOf } from '../errors.ts'
import { openCheckpoint, type SignedCheckpoint } from '../verify/checkpoint.ts'
import { VerifyError } from '../verify/errors.ts'
import { parseNote } from '../verify/note.ts'
import { parseProof } from '../verify/proof.ts'
import { type Receipt, type VerifiedReceipt, verifyReceipt } from '../verify/receipt.ts'
import { parseVkey } from '../verify/vkey.ts'

export type Witness = {
  /** What the next request asks to be proven: growth since the head that is kept. */
  since(): { epoch: number; sinceSize: number } | undefined
  /**
   * Verifies a receipt and takes its head over.
   * @returns the head that the receipt proves
   * @param agree throws where the entry isn't about what was received; the head is not taken over then
   * @throws PurserError `receipt_invalid`, `log_forked`, `log_epoch`, and what `agree` throws
   */
  accept(receipt: Receipt | undefined, agree: (entry: Record<string, unknown>) => void): SignedCheckpoint
  /** The keys that the log is verified with now. */
  vkeys(): string[]
  /** Whether a key that isn't known signed this head of the log too, as the next one does while a log key is replaced. */
  hasNewSigner(head: SignedCheckpoint): boolean
  /** Takes a further key of the log over. */
  trust(vkey: string): void
}

type Parts = {
  trustDomain: string
  vkeys: readonly string[]
  /** Keys from elsewhere than the server: only they can vouch for a new epoch. */
  pinned: boolean
  /** A checkpoint kept from an earlier start. */
  kept: string | undefined
}

/** @throws PurserError `bad_state` when the kept checkpoint isn't signed by one of the keys */
export function createWitness({ trustDomain, vkeys: first, pinned, kept }: Parts): Witness {
  const vkeys = [...first]
  let head = kept === undefined ? undefined : openKept(kept, vkeys)

  function sinceFor(epoch: number): SignedCheckpoint | undefined {
    if (!head) return undefined
    const known = epochOf(head)
    if (epoch === known) return head
    if (epoch > known && pinned) return undefined
    throw new PurserError(
      'log_epoch',
      `the log was in epoch ${known} and is now in epoch ${epoch}, which cuts it off from what was seen before. ` +
        (epoch > known
          ? "Once an auditor has confirmed it, pin the new log's key (PURSER_LOG_KEY)"
          : 'An epoch never comes back'),
    )
  }

  return {
    vkeys: () => [...vkeys],
    hasNewSigner({ note, origin }) {
      const known = new Set(vkeys.map(parseVkey).map(({ name, id }) => `${name} ${id}`))
      return parseNote(note).signatures.some(({ name, id }) => name === origin && !known.has(`${name} ${id}`))
    },
    trust: (vkey) => void vkeys.push(vkey),
    since: () => head && { epoch: epochOf(head), sinceSize: head.size },
    accept(receipt, agree) {
      if (!receipt) {
        throw new PurserError(
          'receipt_invalid',
          'the credential came without a receipt, and was thrown away: nothing shows that it is in the log',
        )
      }
      const { epoch } = receipt
      const since = sinceFor(epoch)
      let verified: VerifiedReceipt
      try {
        verified = verifyReceipt(receipt, { vkeys, origin: `${trustDomain}/log/${epoch}`, ...(since && { since }) })
      } catch (error) {
        throw receiptError(error, since, receipt)
      }
      if (since && verified.index < since.size) {
        throw new PurserError(
          'receipt_mismatch',
          `the receipt is of entry ${verified.index}, which the log had before this request`,
        )
      }
      agree(verified.entry)
      head = verified.checkpoint
      return head
    },
  }
}

const epochOf = ({ origin }: { origin: string }): number => Number(origin.slice(origin.lastIndexOf('/') + 1))

function openKept(note: string, vkeys: readonly string[]): SignedCheckpoint {
  try {
    return openCheckpoint(note, vkeys)
  } catch (error) {
    const why = `the head of the log kept in PURSER_STATE_DIR is not signed by the log's key: ${wordsOf(error)}`
    throw new PurserError('bad_state', `${why}. Is it of another Purser? Remove it only when you know`, {
      cause: error,
    })
  }
}

/** A fork is told apart from a receipt that is merely broken: two heads that a known key signed are evidence. */
function receiptError(error: unknown, since: SignedCheckpoint | undefined, receipt: Receipt): unknown {
  if (!(error instanceof VerifyError)) return error
  if (since && ['log_shrank', 'bad_consistency'].includes(error.code)) {
    // The signature on it was verified before growth was looked at.
    const heads = { kept: since.note, received: parseProof(receipt.proof).checkpoint }
    return new PurserError(
      'log_forked',
      `the log is not shown to be the one that was seen before (${error.message}). The credential was thrown away; ` +
        'keep both heads (error.heads) and show them to whoever audits the log',
      { cause: error, heads },
    )
  }
  return new PurserError(
    'receipt_invalid',
    `the receipt does not verify (${error.code}: ${error.message}), so the credential was thrown away. ` +
      "Is the log's key (PURSER_LOG_KEY) that of this server?",
    { cause: error },
  )
}
