/** Every client is a witness of the log: it verifies each receipt, and that the log has only grown since the last one. */
import { PurserError, wordsOf } from '../errors.ts'
import { openCheckpoint, type SignedCheckpoint } from '../verify/checkpoint.ts'
import { VerifyError } from '../verify/errors.ts'
import { parseNote } from '../verify/note.ts'
import { parseProof } from '../verify/proof.ts'
import { type Receipt, type VerifiedReceipt, verifyReceipt } from '../verify/receipt.ts'
import { parseVkey } from '../verify/vkey.ts'

export type Witness = ReturnType<typeof createWitness>

type Parts = {
  trustDomain: string
  vkeys: readonly string[]
  /** Whether the keys come from another source than the server: only such keys can confirm a new epoch. */
  pinned: boolean
  /** The checkpoint of an earlier start. */
  stored: string | undefined
}

/** @throws PurserError `bad_state` if none of the keys signed the stored checkpoint */
export function createWitness({ trustDomain, vkeys: initial, pinned, stored }: Parts) {
  const vkeys = [...initial]
  let head = stored === undefined ? undefined : openStored(stored, vkeys)

  function sinceFor(epoch: number): SignedCheckpoint | undefined {
    if (!head) return undefined
    const current = epochOf(head)
    if (epoch === current) return head
    if (epoch > current && pinned) return undefined
    throw new PurserError(
      'log_epoch',
      `the log was in epoch ${current} and is now in epoch ${epoch}, so its earlier growth can't be verified. ` +
        (epoch > current
          ? "Once an auditor has confirmed it, pin the new log's key (PURSER_LOG_KEY)"
          : 'An epoch never returns'),
    )
  }

  return {
    /** The keys that verify the log now. */
    vkeys: () => [...vkeys],
    /** Whether an unknown key also signed this head, as the next key does during a replacement. */
    hasNewSigner({ note, origin }: SignedCheckpoint): boolean {
      const trusted = new Set(vkeys.map(parseVkey).map(({ name, id }) => `${name} ${id}`))
      return parseNote(note).signatures.some(({ name, id }) => name === origin && !trusted.has(`${name} ${id}`))
    },
    /** Adds a key of the log. */
    trust: (vkey: string) => void vkeys.push(vkey),
    /** What the next receipt must prove: growth since the last head. */
    since: () => head && { epoch: epochOf(head), sinceSize: head.size },
    /**
     * Verifies a receipt and adopts its head.
     * @param compare throws if the entry differs from what was received; the head is not adopted then
     * @returns the head that the receipt proves
     * @throws PurserError `receipt_invalid`, `log_forked`, `log_epoch`, and what `compare` throws
     */
    accept(receipt: Receipt | undefined, compare: (entry: Record<string, unknown>) => void): SignedCheckpoint {
      if (!receipt) {
        throw new PurserError(
          'receipt_invalid',
          'the credential has no receipt, so it was discarded: nothing proves that it is in the log',
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
          `the receipt is for entry ${verified.index}, which is older than this request`,
        )
      }
      compare(verified.entry)
      head = verified.checkpoint
      return head
    },
  }
}

const epochOf = ({ origin }: { origin: string }): number => Number(origin.slice(origin.lastIndexOf('/') + 1))

function openStored(note: string, vkeys: readonly string[]): SignedCheckpoint {
  try {
    return openCheckpoint(note, vkeys)
  } catch (error) {
    const why = `the log's key did not sign the log head in PURSER_STATE_DIR: ${wordsOf(error)}`
    throw new PurserError('bad_state', `${why}. It may belong to another Purser; remove it only if you are sure`, {
      cause: error,
    })
  }
}

/** Distinguishes a fork from a broken receipt: two heads that a trusted key signed are evidence. */
function receiptError(error: unknown, since: SignedCheckpoint | undefined, receipt: Receipt): unknown {
  if (!(error instanceof VerifyError)) return error
  if (since && ['log_shrank', 'bad_consistency'].includes(error.code)) {
    // The signature of the received head was verified before the growth.
    const heads = { kept: since.note, received: parseProof(receipt.proof).checkpoint }
    return new PurserError(
      'log_forked',
      `the log contradicts what it showed before (${error.message}). The credential was discarded; ` +
        'keep both heads (error.heads) and show them to the auditor of the log',
      { cause: error, heads },
    )
  }
  return new PurserError(
    'receipt_invalid',
    `the receipt does not verify (${error.code}: ${error.message}), so the credential was discarded. ` +
      "Check that the log's key (PURSER_LOG_KEY) is this server's",
    { cause: error },
  )
}
