/**
 * A log key is replaced: for a day the older and the next one sign each head. Whoever pinned the older one is told to pin
 * the next as well; whoever took the server's word for the first takes it for the next, of a head that the first vouches for.
 */
import { PurserError } from '../errors.ts'
import { type SignedCheckpoint, openCheckpoint } from '../verify/checkpoint.ts'
import { VerifyError } from '../verify/errors.ts'
import type { Witness } from './witness.ts'

type Parts = { witness: Witness; pinned: boolean; warn: (warning: string) => void }

export type Succession = {
  /** @param serverKeys asks the verified server for the keys that sign now */
  look(head: SignedCheckpoint, serverKeys: () => Promise<readonly string[]>): Promise<void>
}

export function createSuccession({ witness, pinned, warn }: Parts): Succession {
  const told = new Set<string>()

  return {
    async look(head, serverKeys) {
      if (!witness.hasNewSigner(head)) return
      const named = await serverKeys().catch((error: unknown) => {
        // The next head shows it again.
        if (error instanceof PurserError) return []
        throw error
      })
      const next = named.filter((vkey) => !witness.vkeys().includes(vkey) && !told.has(vkey) && signed(head, vkey))
      for (const vkey of next) {
        told.add(vkey)
        if (!pinned) witness.trust(vkey)
        warn(
          pinned
            ? `the log's key is being replaced. Compare with an auditor, and pin the next one beside the present one before that one ends: PURSER_LOG_KEY=${[...witness.vkeys(), vkey].join(',')}`
            : `the log's key is being replaced: its next key, ${vkey}, was taken from the server, as the first one was`,
        )
      }
    },
  }
}

function signed({ note }: SignedCheckpoint, vkey: string): boolean {
  try {
    openCheckpoint(note, [vkey])
    return true
  } catch (error) {
    if (error instanceof VerifyError) return false
    throw error
  }
}
