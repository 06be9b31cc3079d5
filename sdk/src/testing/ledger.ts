/** The log, in memory: the tree, notes and receipts of the real one, so that a client verifies them as strictly. */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { consistencyProofOf, inclusionProofOf, rootOf } from '../verify/build.ts'
import { canonicalize } from '../verify/canonical.ts'
import { signCheckpoint } from '../verify/checkpoint.ts'
import { entryLeaf } from '../verify/commitment.ts'
import { formatProof } from '../verify/proof.ts'
import type { Receipt } from '../verify/receipt.ts'
import { createNoteSigner } from '../verify/vkey.ts'

export type Entry = Record<string, unknown>
export type Ledger = ReturnType<typeof createLedger>

const epoch = 1

export function createLedger(trustDomain: string) {
  const origin = `${trustDomain}/log/${epoch}`
  const signer = createNoteSigner(origin, generateKeyPairSync('ed25519').privateKey)
  const leaves: Buffer[] = []
  const entries: Entry[] = []

  return {
    epoch,
    vkey: signer.vkey,
    entries: (): readonly Entry[] => entries,

    /** Appends an entry and answers its receipt, with proof of growth since `sinceSize`. */
    append(content: Entry, sinceSize?: number): Receipt {
      const entry = canonicalize(content)
      const nonce = randomBytes(32).toString('base64')
      const index = leaves.length
      leaves.push(entryLeaf(nonce, entry))
      entries.push(content)
      const checkpoint = signCheckpoint(origin, leaves.length, rootOf(leaves), [signer])
      const grew = sinceSize !== undefined && sinceSize > 0 && sinceSize <= leaves.length
      return {
        epoch,
        index,
        entry,
        nonce,
        proof: formatProof({ index, hashes: inclusionProofOf(leaves, index), checkpoint }),
        ...(grew && { consistency: consistencyProofOf(leaves, sinceSize).map((one) => one.toString('base64')) }),
      }
    },

    /** Another history under the same key: what the newest entry said, it says no longer. */
    fork(): void {
      leaves.splice(-1, 1, randomBytes(32))
    },
  }
}
