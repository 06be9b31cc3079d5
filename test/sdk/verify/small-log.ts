/** A small log in memory and its exporter, for the tests of the verifier. */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import {
  canonicalize,
  createNoteSigner,
  entryLeaf,
  EXPORT_BLOCK,
  formatProof,
  inclusionProofOf,
  rootOf,
  signCheckpoint,
  subtreesOf,
  type ExportEntry,
  type ExportHashes,
  type ExportHeader,
  type ExportRedacted,
  type NoteSigner,
  type Receipt,
} from '@purser/sdk/verify'

export type Line = ExportHeader | ExportHashes | ExportEntry | ExportRedacted
type Special = Record<number, Record<string, unknown>>

const base64 = (bytes: Buffer) => bytes.toString('base64')

export type SmallLog = ReturnType<typeof makeLog>

/** @param special entries that replace the usual ones, by index */
export function makeLog({
  size,
  epoch = 1,
  special = {},
  signer,
  original,
}: {
  size: number
  epoch?: number
  special?: Special
  signer?: NoteSigner
  /** A log with the same entries, except for the special ones. */
  original?: SmallLog
}) {
  const origin = `prod.example/log/${epoch}`
  const key = signer ?? createNoteSigner(origin, generateKeyPairSync('ed25519').privateKey)
  const entries = Array.from({ length: size }, (_, index): ExportEntry => {
    const usual = { action: 'credentials.issue', outcome: 'granted', requestId: `req_${epoch}_${index}`, v: 1 }
    const old = special[index] ? undefined : original?.entries[index]
    return old ?? { epoch, index, entry: canonicalize(special[index] ?? usual), nonce: base64(randomBytes(32)) }
  })
  const leaves = entries.map(({ entry, nonce }) => entryLeaf(nonce, entry))
  const entryAt = (index: number) => {
    const entry = entries[index]
    if (!entry) throw new Error(`no entry ${index}`)
    return entry
  }
  const rootAt = (count: number) => rootOf(leaves.slice(0, count))
  const checkpoint = (count: number) => signCheckpoint(origin, count, rootAt(count), [key])
  const inclusion = (index: number, count = size) => inclusionProofOf(leaves, index, count)
  const nodes = (begin: number, end: number) =>
    subtreesOf(begin, end).map(({ level, index }) =>
      base64(rootOf(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level))),
    )

  function receipt(index: number, count: number): Receipt {
    const proof = formatProof({ index, hashes: inclusion(index, count), checkpoint: checkpoint(count) })
    return { ...entryAt(index), proof }
  }

  /** An entry outside the exported range. */
  const outside = (index: number): ExportEntry => ({
    ...entryAt(index),
    inclusion: inclusion(index).map(base64),
  })

  function lines(from = 0, to = size, redacted: readonly number[] = []): Line[] {
    const out: Line[] = [
      {
        purserExport: 1,
        origin,
        epoch,
        from,
        to,
        checkpoint: checkpoint(size),
        left: nodes(0, from),
        right: nodes(to, size),
        vkeys: [key.vkey],
      },
    ]
    for (let first = from; first < to;) {
      const end = Math.min(to, (Math.floor(first / EXPORT_BLOCK) + 1) * EXPORT_BLOCK)
      const some = leaves.slice(first, end)
      const root = end - first === EXPORT_BLOCK ? { root: base64(rootOf(some)) } : {}
      out.push({ hashes: base64(Buffer.concat(some)), first, ...root })
      for (const entry of entries.slice(first, end)) {
        out.push(redacted.includes(entry.index) ? { epoch, index: entry.index, redacted: true } : entry)
      }
      first = end
    }
    return out
  }

  return {
    origin,
    epoch,
    size,
    key,
    vkeys: [key.vkey],
    entries,
    leaves,
    entryAt,
    rootAt,
    checkpoint,
    receipt,
    outside,
    lines,
  }
}
