/**
 * Replacement of a log key: for a day, the old and the next key sign each head. A client that pinned the old key warns to
 * pin the next one as well. A client that trusted the server's key on first use adopts the next key, from a head that the
 * old key signed.
 */
import { PurserError } from '../errors.ts'
import { type SignedCheckpoint, openCheckpoint } from '../verify/checkpoint.ts'
import { VerifyError } from '../verify/errors.ts'
import type { Witness } from './witness.ts'

type Parts = { witness: Witness; pinned: boolean; warn: (warning: string) => void }

export function createSuccession({ witness, pinned, warn }: Parts) {
  const seenKeys = new Set<string>()

  return {
    /** @param serverKeys gets the keys that sign now from the verified server */
    async check(head: SignedCheckpoint, serverKeys: () => Promise<readonly string[]>): Promise<void> {
      if (!witness.hasNewSigner(head)) return
      const vkeys = await serverKeys().catch((error: unknown) => {
        // The next head gives another chance.
        if (error instanceof PurserError) return []
        throw error
      })
      const next = vkeys.filter((vkey) => !witness.vkeys().includes(vkey) && !seenKeys.has(vkey) && signed(head, vkey))
      for (const vkey of next) {
        seenKeys.add(vkey)
        if (!pinned) witness.trust(vkey)
        warn(
          pinned
            ? `the log's key is being replaced. Verify the next key with an auditor, and pin it in addition before the current key ends: PURSER_LOG_KEY=${[...witness.vkeys(), vkey].join(',')}`
            : `the log's key is being replaced: the next key, ${vkey}, comes from the server, like the first one`,
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
