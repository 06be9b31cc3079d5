/**
 * The format of the audit export: JSON lines in UTF-8 that can be verified offline.
 *
 * A file has a section for each epoch, oldest first. A section has a header, and then for each block of 256 entries (cut at
 * the section's ends) a line with the tree's hashes, followed by the entries:
 *
 *     {"purserExport":1,"origin":"prod.example/log/1","epoch":1,"from":0,"to":300,"checkpoint":"…","left":[],"right":[],"vkeys":[]}
 *     {"hashes":"…","first":0,"root":"…"}
 *     {"epoch":1,"index":0,"entry":"{…}","nonce":"…"}
 *     …
 *     {"hashes":"…","first":256}
 *     {"epoch":1,"index":256,"redacted":true}
 *     …
 *
 * An exporter should read `hashes` and `root` from the tree and its tiles, and entries and nonces from their rows. Then a
 * changed row contradicts the tree, and the verifier names its index. If rows and tree were changed consistently, the
 * signed root shows only that something changed. `root` narrows that down to a block if only one block was changed, and
 * the proof of a kept receipt narrows it down by its hashes.
 *
 * A redaction entry may be outside of the section's range. It then follows the header of its epoch's section, with an
 * inclusion proof. If the export has no other entry of that epoch, `from` equals `to`.
 */

/** The first line of a section. */
export type ExportHeader = {
  purserExport: 1
  /** The log's name, `<trust domain>/log/<epoch>`, as in the checkpoint. */
  origin: string
  epoch: number
  /** The section has the entries [from, to). */
  from: number
  to: number
  /** The signed note of the log's head. `to` is at most its size. */
  checkpoint: string
  /** Base64: the complete subtrees of [0, from) and of [to, size), as `subtreesOf` lists them. */
  left: string[]
  right: string[]
  /** For information. A verifier trusts only the keys of its caller. */
  vkeys: string[]
}

/** The leaf hashes of the next block, concatenated, and the root of a whole block; base64. */
export type ExportHashes = { hashes: string; first: number; root?: string }

/** An entry. One outside of the section's range has `inclusion` (base64 hashes). */
export type ExportEntry = { epoch: number; index: number; entry: string; nonce: string; inclusion?: string[] }

/** An entry whose text was redacted. A redaction entry must cover it. */
export type ExportRedacted = { epoch: number; index: number; redacted: true }

export type ExportLine = ExportHeader | ExportHashes | ExportEntry | ExportRedacted

/** The number of entries of a block. Blocks start at multiples of it, except the first of a section. */
export const EXPORT_BLOCK = 256

/**
 * The `detail` of a redaction entry (action `log.redact`, outcome `granted` or `completed`): the epoch and the runs
 * [from, to) of the redacted entries. It covers only entries before itself.
 *
 * Entries of servers before the migration 005-redaction have no runs: they cover any `redacted` entries of [from, to).
 */
export type RedactionDetail = { epoch: number } & (
  { runs: [from: number, to: number][] } | { from: number; to: number; redacted: number }
)

/**
 * The `detail.previous` of the first entry of a later epoch (action `log.epoch`): the head of the older log in the database,
 * the newest head known from outside of the database, and signed heads that contradict the database. Roots are base64.
 */
export type PreviousEpoch = {
  epoch: number
  database: { size: number; root: string }
  known?: { size: number; root: string }
  forks?: { size: number; root: string }[]
}
