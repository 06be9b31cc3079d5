/** A log in memory that grows and that a test can fork. */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import {
  type NoteSigner,
  type Receipt,
  canonicalize,
  consistencyProofOf,
  createNoteSigner,
  entryLeaf,
  formatProof,
  inclusionProofOf,
  rootOf,
  signCheckpoint,
} from '@purser/sdk/verify'

export type FakeLog = {
  epoch: number
  vkey: string
  /** Appends an entry and returns its receipt with a consistency proof since `sinceSize`. */
  append(entry: Record<string, unknown>, sinceSize?: number): Receipt
  size(): number
  checkpoint(): string
  /** Another history under the same key: only the first `size` entries are the same. */
  fork(size: number): FakeLog
}

export function createFakeLog(epoch = 1, first = 3): FakeLog {
  const origin = `example.org/log/${epoch}`
  const signer = createNoteSigner(origin, generateKeyPairSync('ed25519').privateKey)
  const filling = Array.from({ length: first }, () => randomBytes(32))
  return logOf(origin, epoch, signer, filling)
}

function logOf(origin: string, epoch: number, signer: NoteSigner, leaves: Buffer[]): FakeLog {
  const note = (): string => signCheckpoint(origin, leaves.length, rootOf(leaves), [signer])
  return {
    epoch,
    vkey: signer.vkey,
    append(content, sinceSize) {
      const index = leaves.length
      const entry = canonicalize(content)
      const nonce = randomBytes(32).toString('base64')
      leaves.push(entryLeaf(nonce, entry))
      const hasConsistency = sinceSize !== undefined && sinceSize > 0 && sinceSize <= leaves.length
      return {
        epoch,
        index,
        entry,
        nonce,
        proof: formatProof({ index, hashes: inclusionProofOf(leaves, index), checkpoint: note() }),
        ...(hasConsistency && {
          consistency: consistencyProofOf(leaves, sinceSize).map((bytes) => bytes.toString('base64')),
        }),
      }
    },
    size: () => leaves.length,
    checkpoint: note,
    fork: (size) => logOf(origin, epoch, signer, leaves.slice(0, size)),
  }
}
