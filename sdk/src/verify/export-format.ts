/**
 * The audit export: JSON lines, UTF-8, that verify offline.
 *
 * A file is one section for each epoch, oldest first. A section is a header, and then for each block of 256 entries (cut
 * at the section's ends) the hashes that the log's tree has for them, followed by the entries themselves:
 *
 *     {"purserExport":1,"origin":"prod.example/log/1","epoch":1,"from":0,"to":300,"checkpoint":"…","left":[],"right":[],"vkeys":[]}
 *     {"hashes":"…","first":0,"root":"…"}
 *     {"epoch":1,"index":0,"entry":"{…}","nonce":"…"}
 *     …
 *     {"hashes":"…","first":256}
 *     {"epoch":1,"index":256,"redacted":true}
 *     …
 *
 * An exporter should take `hashes` and `root` from the tree and its tiles, and entries and nonces from their rows. Then a
 * changed row disagrees with the tree, and the verifier names its index. Where rows and tree were changed alike, what is
 * left is the signed root, which says that something changed but not where; `root` narrows it to a block when only one
 * block was touched, and a receipt kept elsewhere narrows it by the hashes in its proof.
 *
 * A redaction entry may lie outside the section's range. It then follows the header of its epoch's section, anywhere,
 * with an inclusion proof. Where that epoch has nothing else to show, its section has `from` equal to `to`.
 */

/** The first line of a section. */
export type ExportHeader = {
  purserExport: 1
  /** the log's name, `<trust domain>/log/<epoch>`, as in the checkpoint */
  origin: string
  epoch: number
  /** the section has entries [from, to) */
  from: number
  to: number
  /** the signed note over the log's head; 'to' is at most its size */
  checkpoint: string
  /** base64: the complete subtrees of [0, from) and of [to, size), as `subtreesOf` lists them */
  left: string[]
  right: string[]
  /** for information: a verifier trusts only the keys that it was given */
  vkeys: string[]
}

/** The tree's hashes of the next block: base64 of its leaf hashes one after another, and of a whole block its root. */
export type ExportHashes = { hashes: string; first: number; root?: string }

/** One entry; `inclusion` (base64 hashes) only where its index is outside the section's range. */
export type ExportEntry = { epoch: number; index: number; entry: string; nonce: string; inclusion?: string[] }

/** An entry that retention took. A redaction entry must cover it. */
export type ExportRedacted = { epoch: number; index: number; redacted: true }

export type ExportLine = ExportHeader | ExportHashes | ExportEntry | ExportRedacted

/** Entries between two lines of hashes. Blocks start at multiples of it, but for a section's first. */
export const EXPORT_BLOCK = 256

/**
 * What the verifier reads in a redaction entry (action `log.redact`, outcome `granted` or `completed`): its `detail` names
 * the epoch and the runs [from, to) of the entries that it took. It covers those before it and no other.
 *
 * Entries of servers before 005-redaction have no runs: they cover `redacted` entries of [from, to), and not which.
 */
export type RedactionDetail = { epoch: number } & (
  { runs: [from: number, to: number][] } | { from: number; to: number; redacted: number }
)

/**
 * What the verifier reads in the first entry of an epoch above 1 (action `log.epoch`): its `detail.previous` names the
 * older log's head as found in the database, the newest one known from outside it, and signed heads over other entries
 * than the database's; roots are base64.
 */
export type PreviousEpoch = {
  epoch: number
  database: { size: number; root: string }
  known?: { size: number; root: string }
  forks?: { size: number; root: string }[]
}
