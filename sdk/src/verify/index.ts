/**
 * Verifies receipts, checkpoints and exports of a Purser log, offline and without dependencies. A function of untrusted input
 * throws only VerifyError.
 */
export { VerifyError, type VerifyCode } from './errors.ts'
export {
  EMPTY_ROOT,
  HASH_SIZE,
  leafHash,
  nodeHash,
  rootFromInclusion,
  verifyConsistency,
  verifyInclusion,
} from './merkle.ts'
export { consistencyRanges, inclusionRanges, joinSubtrees, subtreesOf, type Range, type Subtree } from './ranges.ts'
export { consistencyProofOf, inclusionProofOf, rootOf } from './build.ts'
export { NONCE_SIZE, commitment, entryLeaf } from './commitment.ts'
export { canonicalize, parseCanonical } from './canonical.ts'
export { createNoteSigner, formatVkey, parseVkey, type NoteSigner, type NoteVerifier } from './vkey.ts'
export { openNote, parseNote, signNote, type NoteSignature, type ParsedNote, type Vkeys } from './note.ts'
export { formatCheckpoint, openCheckpoint, parseCheckpoint, signCheckpoint } from './checkpoint.ts'
export type { Checkpoint, SignedCheckpoint } from './checkpoint.ts'
export { formatProof, parseProof, type Proof } from './proof.ts'
export { verifyGrowth, verifyReceipt } from './receipt.ts'
export type { KeptHead, Receipt, ReceiptOptions, VerifiedReceipt } from './receipt.ts'
export { EXPORT_BLOCK } from './export-format.ts'
export type {
  ExportEntry,
  ExportHashes,
  ExportHeader,
  ExportLine,
  ExportRedacted,
  PreviousEpoch,
  RedactionDetail,
} from './export-format.ts'
export { verifyExport, type ExportOptions, type ExportReport } from './export.ts'
export type { Section } from './export-section.ts'
export type { Problem, ProblemCode } from './problems.ts'
export { linesOf } from './lines.ts'
