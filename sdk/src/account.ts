/** Verifies the receipt of an answer, as strictly as the settings say. */
import { PurserError } from './errors.ts'
import type { ServerView } from './server-view.ts'
import type { Settings } from './settings.ts'
import type { Receipt } from './verify/receipt.ts'

/**
 * @param agree throws where the entry isn't about what was received
 * @returns the receipt; nothing where `off` or `warn` let it pass
 */
export async function account(
  { settings, warn }: { settings: Pick<Settings, 'receipts'>; warn: (warning: string) => void },
  { witness, keepHead }: ServerView,
  receipt: Receipt | undefined,
  signal: AbortSignal,
  agree: (entry: Record<string, unknown>) => void,
): Promise<Receipt | undefined> {
  if (!witness) return undefined
  try {
    await keepHead(witness.accept(receipt, agree), signal)
    return receipt
  } catch (error) {
    if (settings.receipts === 'require' || !(error instanceof PurserError)) throw error
    warn(`${error.code}: ${error.message}`)
    return undefined
  }
}
