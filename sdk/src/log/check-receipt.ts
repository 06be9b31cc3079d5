import { PurserError } from '../errors.ts'
import type { ConnectOptions } from '../types/options.ts'
import type { SignedCheckpoint } from '../verify/checkpoint.ts'
import type { Receipt } from '../verify/receipt.ts'
import type { Witness } from './witness.ts'

export type LogView = {
  /** Undefined where receipts are off, or where `warn` ignored a fault of the log's keys. */
  witness: Witness | undefined
  /** Keeps a new head over a restart, and detects the replacement of the log's key. */
  keepHead: (head: SignedCheckpoint, signal: AbortSignal) => Promise<void>
}

type Parts = {
  settings: { receipts: NonNullable<ConnectOptions['receipts']> }
  warn: (warning: string) => void
}

/**
 * Verifies the receipt of an answer, as strictly as the settings require.
 * @param compare throws if the log's entry differs from what was received
 * @returns the receipt; undefined with `off`, or where `warn` ignored a fault
 * @throws PurserError `receipt_invalid`, `receipt_mismatch`, `log_forked`, `log_epoch`
 */
export async function checkReceipt(
  { settings, warn }: Parts,
  { witness, keepHead }: LogView,
  receipt: Receipt | undefined,
  signal: AbortSignal,
  compare: (entry: Record<string, unknown>) => void,
): Promise<Receipt | undefined> {
  if (!witness) return undefined
  try {
    await keepHead(witness.accept(receipt, compare), signal)
    return receipt
  } catch (error) {
    if (settings.receipts === 'require' || !(error instanceof PurserError)) throw error
    warn(`${error.code}: ${error.message}`)
    return undefined
  }
}
